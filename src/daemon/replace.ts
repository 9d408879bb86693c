import { setTimeout as sleep } from 'node:timers/promises';
import type { Paths } from '../files/paths.ts';
import { connectControl, type ControlClient } from '../control/client.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { LockFacts } from './lock-facts.ts';
import { readLock } from './lock-file.ts';
import { livenessOf, wakeIfStopped } from './process-identity.ts';
import { connectIfRunning } from './find.ts';
import { daemonEnvironment, ownCommand } from './spawn.ts';

/** Of a supervisor that was killed while the next one started. */
const TAKES_OVER_WITHIN_MS = 5_000;

export interface ReplaceOptions {
  /** The arguments to `node` that run the next supervisor; by default this program's own. */
  readonly command?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Default 3 s: a supervisor that does not answer within this is replaced the ordinary way. */
  readonly answersWithinMs?: number;
}

/**
 * Has the supervisor of this home start the next one, of this program, and leave it everything: no client is refused.
 * @returns the pid of the next; undefined where it has to be done the ordinary way: none runs, or it cannot do that
 * @throws TunnelError HANDOVER_FAILED where the next one does not come up: the one that runs goes on
 */
export async function replaceSupervisor(
  paths: Pick<Paths, 'lockFile'>,
  version: string,
  { command = ownCommand('inherit'), env = process.env, answersWithinMs = 3_000 }: ReplaceOptions = {},
): Promise<number | undefined> {
  const lock = readLock(paths.lockFile);
  if (lock === undefined || (await livenessOf(lock)) === 'dead') return undefined;
  await wakeIfStopped(lock);
  const client = await reach(lock, version, answersWithinMs);
  if (client === undefined) return undefined;
  try {
    const request = { program: process.execPath, args: command, env: textsOf(daemonEnvironment(env)) };
    return (await client.call('handOver', request)).pid;
  } catch (thrown) {
    const error = asTunnelError(thrown);
    if (error.code === 'PROTOCOL') return undefined; // an older one, or one that a service manager watches
    if (error.code !== 'SUPERVISOR_UNREACHABLE') throw error;
    return await whoTookOver(lock, paths, version); // it was killed meanwhile, and the next one may have taken over
  } finally {
    client.close();
  }
}

async function reach({ socket }: LockFacts, version: string, withinMs: number): Promise<ControlClient | undefined> {
  try {
    return await connectControl(socket, version, { withinMs });
  } catch (thrown) {
    const { code } = asTunnelError(thrown);
    if (code === 'PROTOCOL' || code === 'SUPERVISOR_UNREACHABLE') return undefined;
    throw thrown;
  }
}

/** The next supervisor may need a moment to see that it is alone; undefined where there is none. */
async function whoTookOver(
  { pid }: LockFacts,
  paths: Pick<Paths, 'lockFile'>,
  version: string,
): Promise<number | undefined> {
  const endsAtMs = performance.now() + TAKES_OVER_WITHIN_MS;
  for (;;) {
    const next = await serverOf(paths, version);
    if (next !== undefined && next !== pid) return next;
    if (next === pid || performance.now() > endsAtMs) return undefined;
    await sleep(50);
  }
}

async function serverOf(paths: Pick<Paths, 'lockFile'>, version: string): Promise<number | undefined> {
  try {
    const client = await connectIfRunning(paths, version);
    client?.close();
    return client?.supervisor?.pid;
  } catch (thrown) {
    if (thrown instanceof TunnelError && thrown.code === 'SUPERVISOR_UNREACHABLE') return undefined;
    throw thrown;
  }
}

function textsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])));
}
