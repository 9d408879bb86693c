import { lstat, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';

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
    return error instanceof Error && 'code' in error ? String(error.code) : 'EACCES';
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
