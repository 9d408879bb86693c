import { open, readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { TunnelError } from '../../model/failure.ts';
import { decodeKey } from './key-decoder.ts';
import { keyFormat, publicKeyLine, type KeyFormat } from './key-format.ts';
import type { HopContext } from '../hop-context.ts';
import { asPrivateKey, type PrivateKey } from './private-key.ts';

/** A readable key file. Its private half is read when it is needed, and not before. */
export interface KeyFile {
  readonly file: string;
  /** The public half; undefined where an encrypted file hides it and has no `.pub` neighbour. */
  readonly blob: Buffer | undefined;
  /** The certificate beside the key (`-cert.pub`), if any. */
  readonly certificate: Buffer | undefined;
  /** Only the `.pub` file is there, or it was named: the private half is in the agent, or nowhere. */
  readonly publicOnly: boolean;
  /** Asks for the passphrase where one is needed and nobody knows it. Rejects with KEY_UNUSABLE or NEEDS_PERSON. */
  unlock(context: HopContext): Promise<PrivateKey>;
}

/** OpenSSH's MAX_KEY_FILE_SIZE. */
const LARGEST_BYTES = 1024 * 1024;
/** As NumberOfPasswordPrompts. */
const MOST_PASSPHRASES = 3;

/**
 * Reads a key file as far as no passphrase is needed. @returns undefined where there is none
 * @throws KEY_UNUSABLE with the remedy
 */
export async function readKeyFile(file: string, signal: AbortSignal): Promise<KeyFile | undefined> {
  const found = await readPrivately(file);
  // As ssh: of a key that only the agent holds, its public half may be all that lies there.
  if (found === undefined) return file.endsWith('.pub') ? undefined : readKeyFile(`${file}.pub`, signal);
  const { text, id } = found;
  const format = keyFormat(text, file);
  if (format.kind === 'unusable') throw unusable(file, format.why, format.remedy);
  return {
    file,
    blob: format.blob ?? (await publicNeighbour(`${file}.pub`)) ?? (await derivedPublic(text, format, signal)),
    certificate: await publicNeighbour(`${file.replace(/\.pub$/, '')}-cert.pub`),
    publicOnly: format.kind === 'public',
    unlock: (context) => unlock(file, id, text, format, context),
  };
}

/** The key of a `.pub` or certificate file. @returns undefined where there is none */
export async function publicNeighbour(file: string): Promise<Buffer | undefined> {
  try {
    return publicKeyLine(await readFile(file, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw unusable(file, 'it cannot be read', 'check its owner and mode', error);
  }
}

async function readPrivately(file: string): Promise<{ text: string; id: string } | undefined> {
  try {
    const handle = await open(file, 'r');
    try {
      const facts = await handle.stat();
      if (!facts.isFile()) throw unusable(file, 'it is not a file', 'name the private key');
      if (facts.size > LARGEST_BYTES) throw unusable(file, 'it is too large for a key', 'name the private key');
      const text = await handle.readFile('utf8');
      const exposed = process.platform !== 'win32' && facts.uid === userInfo().uid && (facts.mode & 0o077) !== 0;
      if (exposed && text.includes('PRIVATE KEY')) {
        throw unusable(file, 'others can read it', `close it with \`chmod 600 ${file}\``); // as ssh refuses it
      }
      return { text, id: `${file}\0${facts.mtimeMs}\0${facts.size}` };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof TunnelError) throw error;
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw unusable(file, 'it cannot be read', 'check its owner and mode', error);
  }
}

async function derivedPublic(text: string, format: KeyFormat, signal: AbortSignal): Promise<Buffer | undefined> {
  if (format.kind !== 'private' || format.encrypted) return undefined;
  const decoded = await decodeKey(text, format.reader, undefined, signal);
  return 'key' in decoded ? asPrivateKey(decoded.key)?.blob : undefined;
}

async function unlock(file: string, id: string, text: string, format: KeyFormat, context: HopContext) {
  return context.untimed(() =>
    context.keyRing.inTurn(file, async () => {
      const known = context.keyRing.key(id);
      if (known !== undefined) return known;
      context.signal.throwIfAborted();
      const key = await decodeAsking(file, text, format, context);
      context.keyRing.keepKey(id, key);
      return key;
    }),
  );
}

async function decodeAsking(file: string, text: string, format: KeyFormat, context: HopContext): Promise<PrivateKey> {
  if (format.kind !== 'private')
    throw unusable(file, 'it holds only a public key', 'load its private half into the agent');
  for await (const passphrase of format.encrypted ? passphrases(file, context) : [undefined]) {
    const decoded = await decodeKey(text, format.reader, passphrase, context.signal);
    if ('key' in decoded) {
      const key = asPrivateKey(decoded.key);
      if (key !== undefined) return key;
      throw unusable(file, 'SSH knows no such kind of key', 'make one with `ssh-keygen -t ed25519`');
    }
    if (decoded.wrong === 'key') {
      throw unusable(
        file,
        'it is damaged or of a format that cannot be read',
        `rewrite it with \`ssh-keygen -p -f ${file}\``,
        new Error(decoded.why),
      );
    }
  }
  throw unusable(file, 'the passphrase was wrong', 'try again, or load it with `ssh-add`');
}

/** The stored passphrase, then what a person types. */
async function* passphrases(file: string, context: HopContext): AsyncGenerator<string> {
  const stored = await context.storedSecret({ kind: 'passphrase', subject: file });
  if (stored !== undefined) {
    yield stored.reveal();
    context.onNote(`The stored passphrase for ${file} is wrong: store the right one with \`tunnel secret set\``);
  }
  for (let round = 0; round < MOST_PASSPHRASES; round++) {
    const typed = await context.ask({
      kind: 'passphrase',
      subject: file,
      prompt: `Passphrase for ${file}:`,
      detail: round === 0 ? `${context.name} accepts this key.` : 'That passphrase was wrong.',
      echo: false,
    });
    if (typed.reveal() === '') break; // as with ssh: an empty passphrase leaves this key aside
    yield typed.reveal();
  }
}

function unusable(file: string, why: string, remedy: string, cause?: unknown): TunnelError {
  return new TunnelError('KEY_UNUSABLE', `Cannot use the key ${file}: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: `${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}.`,
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
