import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { TunnelError } from '../model/failure.ts';
import { Secret } from '../model/secret.ts';

const LARGEST_BYTES = 64 * 1024;

/**
 * Reads a file that holds one secret; one line end at its end is not part of it. An absolute path must be a plain file
 * that belongs to us or to root and that nobody else may read. Any other name is a credential that systemd handed to
 * this service (LoadCredential=), in the folder that it named in $CREDENTIALS_DIRECTORY.
 * @throws TunnelError SECRET_STORE
 */
export async function secretFromFile(path: string, env: Readonly<Record<string, string | undefined>>): Promise<Secret> {
  const place = placeOf(path, env);
  const value = await readPlain(place.file, place.credential);
  if (value === '') throw failure(place.file, 'it is empty');
  if (value.includes('\0')) throw failure(place.file, 'it has a NUL in it');
  return new Secret(value);
}

interface Place {
  readonly file: string;
  readonly credential: boolean;
}

function placeOf(path: string, env: Readonly<Record<string, string | undefined>>): Place {
  if (isAbsolute(path)) return { file: path, credential: false };
  const folder = env['CREDENTIALS_DIRECTORY'];
  // systemd.exec(5): a credential's name is one that a file can have, without a slash.
  if (/[/\\]/.test(path) || path === '..' || path === '.' || path === '') {
    throw failure(path, 'it is neither an absolute path nor the name of a credential');
  }
  if (folder === undefined || !isAbsolute(folder)) {
    throw failure(path, 'it is no absolute path, and no service manager handed us credentials');
  }
  return { file: join(folder, path), credential: true };
}

async function readPlain(file: string, credential: boolean): Promise<string> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a named pipe must not hold us
    refuseUnfit(file, await handle.stat(), credential);
    return (await handle.readFile('utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw error instanceof TunnelError ? error : failure(file, reasonOf(error), error);
  } finally {
    await handle?.close();
  }
}

function refuseUnfit(file: string, facts: Stats, credential: boolean): void {
  if (!facts.isFile()) throw failure(file, 'it is not a plain file');
  if (facts.size > LARGEST_BYTES) throw failure(file, `it is larger than ${LARGEST_BYTES} bytes`);
  // systemd keeps its folder closed and opens a credential to the service by an access list, which shows as group mode.
  if (credential || process.platform === 'win32') return;
  const ourUid = process.getuid?.();
  if (facts.uid !== ourUid && facts.uid !== 0) throw failure(file, 'it belongs to another user');
  if ((facts.mode & 0o077) !== 0) throw failure(file, 'others may read it', undefined, `Run: chmod 600 ${file}`);
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'it does not exist';
  return code === 'EACCES' ? 'permission denied' : (code ?? message);
}

function failure(file: string, why: string, cause?: unknown, hint = ''): TunnelError {
  return new TunnelError('SECRET_STORE', `Cannot read a secret from ${file}: ${why}`, { cause, hint });
}
