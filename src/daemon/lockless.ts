import { TunnelError } from '../model/failure.ts';
import { errorCode } from '../files/file-error.ts';
import type { LockFacts } from './lock-facts.ts';
import { readLock } from './lock-file.ts';
import type { Lock } from './lock.ts';
import { livenessOf } from './process-identity.ts';

/** What a disk says that takes nothing more, as against a place that is wrong. */
const TAKES_NOTHING = new Set(['EROFS', 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM']);

/** Whether the state folder could not be written: then a supervisor in the foreground does without it. */
export function isUnwritable(thrown: unknown): thrown is TunnelError {
  return thrown instanceof TunnelError && thrown.code === 'FILE' && TAKES_NOTHING.has(errorCode(thrown.cause));
}

/**
 * In place of the lock where it cannot be written, such as in a container whose disk is read-only. It keeps nobody out,
 * and leads nobody to this supervisor: a second one meets the ports that this one has bound.
 * @throws SUPERVISOR_RUNNING where the lock that stands there names a supervisor that lives
 */
export async function lockless(lockFile: string, facts: LockFacts): Promise<Lock> {
  const held = readLock(lockFile);
  if (held !== undefined && (await livenessOf(held)) === 'alive') {
    throw new TunnelError('SUPERVISOR_RUNNING', `Cannot start a supervisor: one runs already (pid ${held.pid})`);
  }
  const nothing = (): Promise<void> => Promise.resolve();
  return { facts, look: () => Promise.resolve('ours'), renew: nothing, release: nothing };
}
