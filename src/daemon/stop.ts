import { setTimeout as sleep } from 'node:timers/promises';
import { connectControl } from '../control/client.ts';
import type { Paths } from '../files/paths.ts';
import { TunnelError } from '../model/failure.ts';
import type { LockFacts } from './lock-facts.ts';
import { readLock } from './lock-file.ts';
import { livenessOf, wakeIfStopped } from './process-identity.ts';

export interface StopOptions {
  /** Default 3 s: a supervisor that is busy for longer answers nobody. */
  readonly answersWithinMs?: number;
  /** Default 10 s: more than it takes to drain and to close every link. */
  readonly endsWithinMs?: number;
  /** Default 4 s: a supervisor that answered nobody may still heed a signal, and drains for 2 s then. */
  readonly heedsWithinMs?: number;
}

const KILLED_WITHIN_MS = 2_000;
const POLL_MS = 20;

/**
 * Ends the supervisor of this home, whatever its version, and one that has stopped answering too; resolves once it is
 * gone. What was wanted is kept for the next one.
 * @returns its pid, undefined where none ran
 * @throws TunnelError SUPERVISOR_UNREACHABLE when it cannot be ended
 */
export async function stopSupervisor(
  paths: Pick<Paths, 'lockFile'>,
  version: string,
  { answersWithinMs = 3_000, endsWithinMs = 10_000, heedsWithinMs = 4_000 }: StopOptions = {},
): Promise<number | undefined> {
  const lock = readLock(paths.lockFile);
  if (lock === undefined || (await livenessOf(lock)) === 'dead') return undefined;
  await wakeIfStopped(lock);
  if (await askToStop(lock, version, answersWithinMs)) {
    if (await isGone(paths, lock, endsWithinMs)) return lock.pid;
  } else if ((await livenessOf(lock)) === 'perhaps') {
    return undefined; // nobody answers, and nothing says that the pid is still a supervisor's
  }
  if (await endProcess(lock, 'SIGTERM', () => isGone(paths, lock, heedsWithinMs))) return lock.pid;
  if (await endProcess(lock, 'SIGKILL', () => isGone(paths, lock, KILLED_WITHIN_MS))) return lock.pid;
  throw new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot stop the supervisor (pid ${lock.pid}): it does not end`, {
    hint: `If pid ${lock.pid} is tunnel, end it by hand.`,
  });
}

/** @returns whether it said that it will */
async function askToStop({ socket }: LockFacts, version: string, withinMs: number): Promise<boolean> {
  try {
    const client = await connectControl(socket, version, { anyProtocol: true, withinMs });
    try {
      await client.call('stop', {}, AbortSignal.timeout(withinMs));
    } finally {
      client.close();
    }
    return true;
  } catch {
    return false; // for whatever reason: there are signals
  }
}

/** Signals only where the kernel vouches that this pid is still the process of the lock. */
async function endProcess(lock: LockFacts, signal: NodeJS.Signals, gone: () => Promise<boolean>): Promise<boolean> {
  if ((await livenessOf(lock)) === 'alive') process.kill(lock.pid, signal);
  return gone();
}

async function isGone(paths: Pick<Paths, 'lockFile'>, lock: LockFacts, withinMs: number): Promise<boolean> {
  const endsAtMs = performance.now() + withinMs;
  for (;;) {
    if (readLock(paths.lockFile)?.token !== lock.token) return true;
    if ((await livenessOf(lock)) === 'dead') return true;
    if (performance.now() > endsAtMs) return false;
    await sleep(POLL_MS);
  }
}
