import type { Question } from '../link/ask.ts';
import { cleanLine } from '../model/clean.ts';
import type { TunnelError } from '../model/failure.ts';
import { Secret } from '../model/secret.ts';
import { secretFromFile } from './file.ts';
import { SECRET_KINDS, type SecretName, type SecretStore } from './store.ts';
import { makeHeader, openEntry, openHeader, sealEntry } from './vault-cipher.ts';
import { changeVault, readVault, vaultFailure } from './vault-disk.ts';
import { checksum, type VaultFile, type VaultHeader } from './vault-format.ts';
import type { VaultKey } from './vault-key.ts';

/** Asks a person. Rejects with NEEDS_PERSON where nobody can be asked. */
export type AskPerson = (question: Question) => Promise<Secret>;

export interface VaultOptions {
  readonly file: string;
  /** Opens it instead of a person: an absolute path, or a credential of the service. Undefined or '': none. */
  readonly keyFile: string | undefined;
  /** For $CREDENTIALS_DIRECTORY. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Shared by all that use this vault in one process. */
  readonly key: VaultKey;
}

const LARGEST_BYTES = 64 * 1024;
/** As NumberOfPasswordPrompts of ssh. */
const MOST_TRIES = 3;
/** Shorter ones are guessed, at half a second each. */
const SHORTEST_PASSPHRASE = 8;

/** Secrets in one encrypted file, for machines without a keychain. What a person or a key file unlocks is held for a time. */
export class Vault implements SecretStore {
  readonly title: string;
  readonly #options: VaultOptions;
  readonly #ask: AskPerson;

  constructor(options: VaultOptions, ask: AskPerson) {
    this.title = `vault ${options.file}`;
    this.#options = options;
    this.#ask = ask;
  }

  /** Unlocks it, or makes one where there is none. @throws NEEDS_PERSON, SECRET_STORE */
  async prepare(): Promise<void> {
    const vault = await readVault(this.#options.file);
    if (vault === undefined) await this.#create();
    else await this.#dataKey(vault.header);
  }

  async get(name: SecretName): Promise<Secret | undefined> {
    const vault = await readVault(this.#options.file);
    const sealed = vault?.entries[entryName(name)];
    if (vault === undefined || sealed === undefined) return undefined; // nobody types a passphrase for nothing
    const value = openEntry(await this.#dataKey(vault.header), entryName(name), sealed);
    if (value === undefined) throw this.#failure('read', `its ${entryName(name)} is damaged`);
    return new Secret(value);
  }

  async set(name: SecretName, secret: Secret): Promise<void> {
    if (Buffer.byteLength(secret.reveal()) > LARGEST_BYTES)
      throw this.#failure('write', `the secret is longer than ${LARGEST_BYTES} bytes`);
    await this.prepare();
    const header = (await readVault(this.#options.file))?.header;
    if (header === undefined) throw this.#failure('write', 'it was removed meanwhile');
    const sealed = sealEntry(await this.#dataKey(header), entryName(name), secret);
    await changeVault(this.#options.file, (before) => {
      if (before === undefined || checksum(before.header) !== checksum(header)) throw this.#failure('write', REPLACED);
      return { header, entries: { ...before.entries, [entryName(name)]: sealed } };
    });
    const readBack = await this.get(name);
    if (readBack?.reveal() !== secret.reveal())
      throw this.#failure('write', 'it gave back something else than what was stored');
  }

  /** Asks for no passphrase: whoever may write the file could remove it whole. */
  async delete(name: SecretName): Promise<boolean> {
    if ((await readVault(this.#options.file))?.entries[entryName(name)] === undefined) return false;
    let removed = false;
    await changeVault(this.#options.file, (before) => {
      if (before === undefined) throw this.#failure('write', REPLACED);
      const { [entryName(name)]: gone, ...entries } = before.entries;
      removed = gone !== undefined;
      return { header: before.header, entries };
    });
    return removed;
  }

  async list(): Promise<readonly SecretName[]> {
    const vault = await readVault(this.#options.file);
    return Object.keys(vault?.entries ?? {}).flatMap((name) => nameOf(name) ?? []);
  }

  #dataKey(header: VaultHeader): Promise<Buffer> {
    return this.#options.key.of(checksum(header), () => this.#unlock(header));
  }

  async #unlock(header: VaultHeader): Promise<Buffer> {
    const byFile = await this.#tryKeyFile(header);
    if (byFile !== undefined) return byFile;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const typed = await this.#ask(this.#question('Passphrase', tries === 0 ? '' : 'That passphrase was wrong.'));
      if (typed.reveal() === '') throw this.#failure('unlock', 'no passphrase was given');
      const dataKey = await this.#tryOpen(header, typed);
      if (dataKey !== undefined) return dataKey;
    }
    throw this.#failure('unlock', 'the passphrase was wrong');
  }

  async #tryKeyFile(header: VaultHeader): Promise<Buffer | undefined> {
    const { keyFile } = this.#options;
    if (keyFile === undefined || keyFile === '') {
      if (header.opens === 'passphrase') return undefined;
      throw this.#failure('unlock', 'a key file opens it, and none was named', 'Name it with TUNNEL_VAULT_KEY_FILE.');
    }
    const dataKey = await this.#tryOpen(header, await secretFromFile(keyFile, this.#options.env));
    if (dataKey === undefined && header.opens === 'key file')
      throw this.#failure('unlock', `${keyFile} is not its key`, 'TUNNEL_VAULT_KEY_FILE names the file that opens it.');
    return dataKey;
  }

  async #tryOpen(header: VaultHeader, passphrase: Secret): Promise<Buffer | undefined> {
    const opened = await openHeader(header, passphrase);
    if (opened === 'damaged') throw this.#failure('unlock', 'it is damaged', 'Restore it from a backup.');
    return opened === 'wrong' ? undefined : opened;
  }

  async #create(): Promise<void> {
    const { file, keyFile, env, key } = this.#options;
    const byFile = keyFile !== undefined && keyFile !== '';
    const passphrase = byFile ? await secretFromFile(keyFile, env) : await this.#newPassphrase();
    const { header, dataKey } = await makeHeader(passphrase, byFile ? 'key file' : 'passphrase');
    await changeVault(file, (before): VaultFile => {
      if (before !== undefined) throw this.#failure('make', 'somebody else has just made it', 'Try again.');
      return { header, entries: {} };
    });
    key.hold(checksum(header), dataKey);
  }

  async #newPassphrase(): Promise<Secret> {
    let detail = `There is no vault yet: it is made with a passphrase of its own, of ${SHORTEST_PASSPHRASE} characters or more. Nobody can help who forgets it.`;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const typed = await this.#ask(this.#question('New passphrase', detail));
      if ([...typed.reveal()].length >= SHORTEST_PASSPHRASE) {
        const again = await this.#ask(this.#question('The same passphrase again', ''));
        if (again.reveal() === typed.reveal()) return typed;
        detail = 'The two differ.';
      } else detail = `It must have ${SHORTEST_PASSPHRASE} characters or more.`;
    }
    throw this.#failure('make', 'no passphrase was given');
  }

  #question(what: string, detail: string): Question {
    const { file } = this.#options;
    return {
      kind: 'passphrase',
      subject: `vault ${cleanLine(file)}`,
      prompt: `${what} of the vault ${cleanLine(file)}:`,
      detail,
      echo: false,
    };
  }

  #failure(verb: string, why: string, hint = ''): TunnelError {
    return vaultFailure(verb, this.#options.file, why, { hint });
  }
}

const REPLACED = 'another one took its place meanwhile';

function entryName({ kind, subject }: SecretName): string {
  return `${kind} ${subject}`;
}

/** undefined for an entry of a kind that we do not know. */
function nameOf(entry: string): SecretName | undefined {
  const space = entry.indexOf(' ');
  const kind = SECRET_KINDS.find((known) => known === entry.slice(0, space));
  return kind === undefined ? undefined : { kind, subject: entry.slice(space + 1) };
}
