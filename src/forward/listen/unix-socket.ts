import { linkSync, lstatSync, unlinkSync } from 'node:fs';
import { lstat, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';

/** The shortest room that a system of ours gives a socket's path (macOS 104, Linux 108, both with a NUL). */
const PATH_BYTES = process.platform === 'linux' ? 107 : 103;

/**
 * Makes way for a socket file: removes one that nobody listens on any more, and nothing else.
 * @returns undefined when the path is free now, else the errno that binding it would meet
 */
export async function clearStaleSocket(path: string): Promise<string | undefined> {
  if (Buffer.byteLength(path) > PATH_BYTES) return 'ENAMETOOLONG'; // Node would cut it and bind another file
  const before = await lstat(path).catch(() => undefined);
  if (before === undefined) return missingFolder(path); // binding says what else may be wrong
  if (!before.isSocket()) return 'EADDRINUSE';
  const answer = await knock(path);
  if (answer !== 'ECONNREFUSED') return answer === 'ENOENT' ? undefined : answer === 'EACCES' ? answer : 'EADDRINUSE';
  return removeUnchanged(path, before.ino);
}

/**
 * The name under which a socket is bound before it is put at `path`; undefined where that would be too long, and on Windows,
 * whose sockets are pipes.
 */
export function draftPath(path: string): string | undefined {
  const draft = join(dirname(path), `${draftPrefix(path)}${process.pid}`);
  return process.platform === 'win32' || Buffer.byteLength(draft) > PATH_BYTES ? undefined : draft;
}

/** The kernel lists a socket under the name that it was bound to. */
export function isBoundFor(bound: string, path: string): boolean {
  if (bound === path) return true;
  return dirname(bound) === dirname(path) && /^\d+$/.test(basename(bound).replace(draftPrefix(path), ''));
}

function draftPrefix(path: string): string {
  return `.${basename(path)}.`;
}

/** Puts the socket in place, never over another file. @returns undefined once it is there, else why not */
export function placeSocket(draft: string, path: string): string | undefined {
  try {
    linkSync(draft, path); // EEXIST where somebody was faster; refused by file systems that link no sockets
    unlinkSync(draft);
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

/** @returns what removes the socket that stands there now, and no other that took its place meanwhile */
export function removeOwnSocket(path: string): () => void {
  const inode = inodeAt(path);
  return () => {
    if (inode === undefined || inodeAt(path) !== inode) return;
    try {
      unlinkSync(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') process.emitWarning(`Cannot remove ${path}: ${codeOf(error)}`);
    }
  };
}

function inodeAt(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'EACCES';
}

/** Node reports a missing folder as EACCES when it binds (libuv does so for the sake of Windows). */
async function missingFolder(path: string): Promise<string | undefined> {
  const folder = await stat(dirname(path)).catch((error: NodeJS.ErrnoException) => error);
  if (folder instanceof Error) return folder.code === 'ENOENT' || folder.code === 'ENOTDIR' ? folder.code : undefined;
  return folder.isDirectory() ? undefined : 'ENOTDIR';
}

/** Somebody may have replaced the file since we knocked; the instant between these two calls stays. */
async function removeUnchanged(path: string, inode: number): Promise<string | undefined> {
  const now = await lstat(path).catch(() => undefined);
  if (now === undefined) return undefined;
  if (now.ino !== inode) return 'EADDRINUSE';
  try {
    await unlink(path);
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

/** @returns '' where somebody listens, else the errno. A full backlog (EAGAIN) is a live listener too. */
function knock(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
}
