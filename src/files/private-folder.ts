import { chmod, lstat, mkdir } from 'node:fs/promises';
import { TunnelError } from '../model/failure.ts';
import { errorCode, fileReason } from './file-error.ts';

/**
 * Makes the folder, with the ones above it, readable by its owner alone; or proves that the one there is so. A folder of
 * ours that others can read is closed to them. Windows keeps profiles of people apart by itself: there it is only made.
 * @throws FILE where it is a link, a file, or somebody else's: whoever owns it could read or replace what we put there
 */
export async function ensurePrivateFolder(path: string): Promise<void> {
  const unmade = await make(path);
  const facts = await lstat(path).catch((error: unknown) => {
    throw cannot(path, fileReason(unmade ?? error), unmade ?? error);
  });
  if (facts.isSymbolicLink()) throw cannot(path, 'it is a symbolic link');
  if (!facts.isDirectory()) throw cannot(path, 'it is not a folder');
  const { geteuid } = process;
  if (geteuid === undefined) return;
  if (facts.uid !== geteuid()) throw cannot(path, `it belongs to another user (uid ${facts.uid})`);
  if ((facts.mode & 0o077) !== 0) await shut(path);
}

/** @returns why it could not be made: what is in the way says more than that something is; undefined where it is there now */
async function make(path: string): Promise<unknown> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return undefined;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') return error;
  }
  // Node's recursive mkdir says ENOENT for a file system that is read-only; the plain one says so.
  return mkdir(path, { mode: 0o700 }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function shut(path: string): Promise<void> {
  try {
    await chmod(path, 0o700);
  } catch (error) {
    throw cannot(path, `others can use it, and that cannot be changed: ${fileReason(error)}`, error);
  }
}

function cannot(path: string, why: string, cause?: unknown): TunnelError {
  const remedy = ['EROFS', 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM'].includes(errorCode(cause))
    ? 'See that it can be written'
    : 'Move it away';
  const hint = `${remedy}, or name another place with TUNNEL_HOME.`;
  return new TunnelError('FILE', `Cannot use the folder ${path}: ${why}`, { cause, hint });
}
