import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isWildcard, matchesHost } from '../known-hosts/match.ts';
import {
  formatKnownHost,
  joinKnownHosts,
  NO_KNOWN_HOSTS,
  parseKnownHosts,
  type KnownHosts,
} from '../known-hosts/parse.ts';
import { TunnelError } from '../model/failure.ts';

/** Beyond this a file is no list of hosts, and reading it would stall everybody. */
const LARGEST_BYTES = 64 * 1024 * 1024;

/**
 * Reads known_hosts files, in order. A missing file knows nobody; one that cannot be read rejects with FILE, since
 * "unreadable" must never pass for "unknown" (CVE-2025-26465 was such a pass).
 */
export async function readKnownHosts(files: readonly string[]): Promise<KnownHosts> {
  return joinKnownHosts(await Promise.all(files.map(readOne)));
}

/**
 * Records a key under a name (as `knownHostName` makes it) with one append, so that other programs that append lose
 * nothing. Makes the file 0600 and its folder 0700 where they are missing.
 * @param hashed hide the name; it is hidden too where the file already hides names
 */
export async function appendKnownHost(file: string, name: string, key: Buffer, hashed: boolean): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(file, 'a+', 0o600);
    try {
      const text = await handle.readFile('utf8');
      const hide = hashed || /^\|1\|/m.test(text);
      const line = formatKnownHost(name, key, hide ? randomBytes(20) : undefined);
      const lead = text === '' || text.endsWith('\n') ? '' : '\n'; // a hand-edited last line may lack its end
      await handle.appendFile(`${lead}${line}\n`);
      await handle.datasync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('record the host key in', file, error);
  }
}

/**
 * Forgets a host, as `ssh-keygen -R` does: lines that name it go, lines with wildcards or markers stay. The file is
 * replaced at once and keeps its mode; a link is followed.
 * @returns how many lines went
 */
export async function removeKnownHost(file: string, name: string): Promise<number> {
  try {
    const text = await readText(file);
    if (text === undefined) return 0;
    const gone = new Set(
      parseKnownHosts(text, file)
        .entries.filter((one) => one.marker === 'none' && !isWildcard(one.hosts) && matchesHost(one.hosts, name))
        .map((one) => one.line),
    );
    if (gone.size > 0) {
      const kept = text.split('\n').filter((_line, index) => !gone.has(index + 1));
      await replace(await realpath(file), kept.join('\n'));
    }
    return gone.size;
  } catch (error) {
    throw fileError('remove a host from', file, error);
  }
}

async function readOne(file: string): Promise<KnownHosts> {
  try {
    const text = await readText(file);
    return text === undefined ? NO_KNOWN_HOSTS : parseKnownHosts(text, file);
  } catch (error) {
    throw fileError('read the known hosts in', file, error);
  }
}

/** Undefined where there is no such file. */
async function readText(file: string): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > LARGEST_BYTES) throw new Error(`it is larger than ${LARGEST_BYTES} bytes`);
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function replace(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const { mode } = await stat(file);
  const handle = await open(temporary, 'wx', mode & 0o777);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function fileError(verb: string, file: string, error: unknown): TunnelError {
  const why = WORDS[errnoOf(error) ?? ''] ?? (error instanceof Error ? error.message : String(error));
  return new TunnelError('FILE', `Cannot ${verb} ${file}: ${why}`, { cause: error });
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOSPC: 'no space left on the disk',
  EROFS: 'the file system is read-only',
  ELOOP: 'the link leads in a circle',
};

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
