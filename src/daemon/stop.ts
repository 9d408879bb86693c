import { setTimeout as sleep } from 'node:timers/promises';
import type { Paths } from '../files/paths.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { LockFacts } from './lock-facts.ts';
import { readLock } from './lock.ts';
import { livenessOf } from './process-identity.ts';
import { connectIfRunning } from './spawn.ts';

/** More than it takes to drain and to close every link. */
const ENDS_WITHIN_MS = 10_000;
const KILLED_WITHIN_MS = 2_000;
const POLL_MS = 20;

/**
 * Ends the supervisor of this home, whatever its version, and one that has stopped answering too; resolves once it is
 * gone. What was wanted is kept for the next one.
 * @returns its pid, undefined where none ran
 * @throws TunnelError SUPERVISOR_UNREACHABLE when it cannot be ended
 */
export async function stopSupervisor(paths: Pick<Paths, 'lockFile'>, version: string): Promise<number | undefined> {
  const lock = await readLock(paths.lockFile);
  if (lock === undefined || (await livenessOf(lock)) === 'dead') return undefined;
  const asked = await askToStop(paths, version);
  if (asked && (await isGone(paths, lock, ENDS_WITHIN_MS))) return lock.pid;
  for (const [signal, withinMs] of [
    ['SIGTERM', ENDS_WITHIN_MS],
    ['SIGKILL', KILLED_WITHIN_MS],
  ] as const) {
    // Only where the kernel vouches that this pid is still the process of the lock.
    if ((await livenessOf(lock)) === 'alive') process.kill(lock.pid, signal);
    if (await isGone(paths, lock, withinMs)) return lock.pid;
  }
  throw new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot stop the supervisor (pid ${lock.pid}): it does not answer`, {
    hint: `If pid ${lock.pid} is tunnel, end it by hand.`,
  });
}

/** @returns whether it was there to be asked */
async function askToStop(paths: Pick<Paths, 'lockFile'>, version: string): Promise<boolean> {
  try {
    const client = await connectIfRunning(paths, version, { anyProtocol: true });
    if (client === undefined) return true; // it ended by itself just now
    try {
      await client.call('stop', {});
    } finally {
      client.close();
    }
    return true;
  } catch (thrown) {
    const error = asTunnelError(thrown);
    if (error.code === 'SUPERVISOR_UNREACHABLE') return false;
    throw error;
  }
}

async function isGone(paths: Pick<Paths, 'lockFile'>, lock: LockFacts, withinMs: number): Promise<boolean> {
  const endsAtMs = performance.now() + withinMs;
  for (;;) {
    if ((await readLock(paths.lockFile))?.token !== lock.token) return true;
    if ((await livenessOf(lock)) === 'dead') return true;
    if (performance.now() > endsAtMs) return false;
    await sleep(POLL_MS);
  }
}
