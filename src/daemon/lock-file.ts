import { readFile, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorCode, fileError } from '../files/file-error.ts';
import type { TunnelError } from '../model/failure.ts';
import { parseLock, type LockFacts } from './lock-facts.ts';

/** The lock file as it lies there. Apart from `lock.ts`, since every command reads it and only a supervisor takes it. */
export type LockFileState =
  { readonly kind: 'none' } | { readonly kind: 'damaged' } | { readonly kind: 'facts'; readonly facts: LockFacts };

/** For a supervisor: its tunnels go on while a disk takes its time. @throws TunnelError FILE where one is there and cannot be read */
export async function readLockFile(file: string): Promise<LockFileState> {
  let text: string;
  try {
    text = await promisify(readFile)(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { kind: 'none' };
    throw lockFileError('read', file, error);
  }
  const facts = parseLock(text);
  return facts === undefined ? { kind: 'damaged' } : { kind: 'facts', facts };
}

/**
 * What the lock file says, whether its supervisor still runs or not; undefined where there is none, or none to be read.
 * For commands: a line is read before threads have started that would read it (docs/decisions/0009).
 * @throws TunnelError FILE where one is there and cannot be read
 */
export function readLock(lockFile: string): LockFacts | undefined {
  try {
    return parseLock(readFileSync(lockFile, 'utf8'));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw lockFileError('read', lockFile, error);
  }
}

/** FILE, for whatever was to be done with the lock. @param verb read, write or remove */
export function lockFileError(verb: string, file: string, error: unknown): TunnelError {
  return fileError(
    `${verb} ${file}`,
    error,
    'See that its folder can be written, or name another place with TUNNEL_HOME.',
  );
}
