import { randomBytes } from 'node:crypto';
import { appendFile, open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { matchesHost } from '../known-hosts/match.ts';
import { parseKnownHosts, type KnownHost } from '../known-hosts/parse.ts';
import { exclusively } from './exclusive.ts';
import { errorCode, fileError } from './file-error.ts';
import { rewritesEnded } from './foreign-rewrite.ts';

/** Each fails only where another program writes to the file just then. */
const MOST_TRIES = 50;
/** ssh opens the file, writes one line and closes it: microseconds. */
const APPEND_TAKES_MS = 200;

/**
 * Forgets a host, as `ssh-keygen -R` does: every line that speaks of it goes, also one whose pattern speaks of others too;
 * lines with markers stay, and every other byte. The file is replaced at once and keeps its mode; a link is followed.
 * What others append meanwhile is carried over, and what they bring back by a rewrite goes again. Rejects with FILE.
 * @returns the lines that went
 */
export async function removeKnownHost(file: string, name: string): Promise<readonly KnownHost[]> {
  try {
    const path = await realpath(file);
    if (!(await stat(path)).isFile()) return [];
    return await exclusively(path, () => removeUntilGone(path, name));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return [];
    throw fileError(`remove a host from ${file}`, error);
  }
}

async function removeUntilGone(path: string, name: string): Promise<readonly KnownHost[]> {
  let removed: readonly KnownHost[] = [];
  for (let tries = 0; tries <= MOST_TRIES; tries++) {
    await rewritesEnded(path);
    const handle = await open(path, 'r');
    try {
      const bytes = await handle.readFile();
      const named = namedIn(bytes, path, name);
      // A key that was added since is somebody's new wish; one that is back was brought back by who had not seen it go.
      const gone = removed.length === 0 ? named : named.filter(({ key }) => removed.some((one) => one.key.equals(key)));
      if (gone.length === 0) return removed;
      if (await replace(path, handle, bytes, new Set(gone.map(({ line }) => line)))) removed = [...removed, ...gone];
    } finally {
      await handle.close();
    }
  }
  throw new Error('another program rewrites it again and again');
}

function namedIn(bytes: Buffer, path: string, name: string): readonly KnownHost[] {
  const { entries } = parseKnownHosts(bytes.toString('latin1'), path);
  return entries.filter(({ marker, hosts }) => marker === 'none' && matchesHost(hosts, name));
}

/**
 * A race that stays: a program that rewrites the file and has both begun and ended between our last look and the rename
 * is undone by it. Nothing but a lock that it knows could tell.
 * @param old open on the file as it was read, `before`
 * @returns false where the file has changed since: nothing was done
 */
async function replace(path: string, old: FileHandle, before: Buffer, gone: ReadonlySet<number>): Promise<boolean> {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const { mode, dev, ino } = await old.stat();
  try {
    await writeWhole(draft, withoutLines(before, gone), mode & 0o777);
    await rewritesEnded(path);
    const now = await stat(path);
    const same = now.dev === dev && now.ino === ino && now.size === before.length;
    if (same) await rename(draft, path);
    else await rm(draft, { force: true });
    if (same) await carryOver(old, before.length, path);
    return same;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** latin1 takes every byte as it is: comments may be in any encoding, or in none. */
function withoutLines(bytes: Buffer, gone: ReadonlySet<number>): Buffer {
  const lines = bytes.toString('latin1').match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return Buffer.from(lines.filter((_line, index) => !gone.has(index + 1)).join(''), 'latin1');
}

async function writeWhole(file: string, bytes: Buffer, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.chmod(mode); // as it was, whatever the umask says
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Who had opened the file before the rename appends to the old one: that goes to the new one. */
async function carryOver(old: FileHandle, from: number, path: string): Promise<void> {
  let at = from;
  for (const waitMs of [0, APPEND_TAKES_MS]) {
    await sleep(waitMs);
    const { size } = await old.stat();
    if (size <= at) continue;
    const late = Buffer.alloc(size - at);
    const { bytesRead } = await old.read(late, 0, late.length, at);
    await appendFile(path, late.subarray(0, bytesRead));
    at += bytesRead;
  }
}
