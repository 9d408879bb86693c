import { randomUUID } from 'node:crypto';
import { connectControl } from '../control/client.ts';
import { ensurePrivateFolder } from '../files/private-folder.ts';
import { TunnelError } from '../model/failure.ts';
import type { TunnelSupervisor } from '../supervisor/supervisor.ts';
import type { LockFacts } from './lock-facts.ts';
import { takeLock, type Lock } from './lock.ts';
import { isUnwritable, lockless } from './lockless.ts';
import { onStopSignal, surviveFaults } from './process-events.ts';
import { ownIdentity } from './process-identity.ts';
import type { Daemon, DaemonOptions } from './running-daemon.ts';

/**
 * Becomes the supervisor of this home and serves its clients. Sets the umask of the process to 0077.
 * @throws TunnelError SUPERVISOR_RUNNING that names the pid, FILE when the home cannot be used
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { paths, version, clock } = options;
  process.umask(0o077);
  const about = { socket: paths.socket, version, startedAt: new Date(clock.wallMs()).toISOString() };
  const { lock, without } = await takeHome(options, about);
  let supervisor: TunnelSupervisor | undefined;
  try {
    supervisor = await options.makeSupervisor(options.predecessor?.estate);
    const { RunningDaemon } = await import('./running-daemon.ts'); // not before: as the parts of the supervisor
    const daemon = new RunningDaemon(options, lock, supervisor, without !== undefined);
    await daemon.open();
    if (without !== undefined) daemon.report(without);
    return daemon;
  } catch (error) {
    await supervisor?.close(0);
    await options.finish?.();
    await lock.release();
    throw error;
  }
}

/** @returns the lock of this home; `without`: why there is none, and the supervisor in the foreground runs all the same */
async function takeHome(
  { paths, version, mode, predecessor }: DaemonOptions,
  about: Pick<LockFacts, 'socket' | 'version' | 'startedAt'>,
): Promise<{ readonly lock: Lock; readonly without?: TunnelError }> {
  try {
    await ensurePrivateFolder(paths.stateDir);
    return { lock: await takeLock(paths.lockFile, about, answersAt(version), predecessor?.token) };
  } catch (thrown) {
    if (mode !== 'foreground' || !isUnwritable(thrown)) throw thrown;
    const facts: LockFacts = { ...(await ownIdentity()), ...about, token: randomUUID() };
    const message = `${thrown.message}; the tunnels run without it, but the other commands do not find them`;
    return {
      lock: await lockless(paths.lockFile, facts),
      without: new TunnelError('FILE', message, { cause: thrown, hint: thrown.hint }),
    };
  }
}

/** `daemon run`: a supervisor in the background, until it is told to stop or nobody needs it. */
export interface RunDaemonOptions extends Omit<DaemonOptions, 'mode'> {
  /** Ends it, as SIGTERM, SIGINT and SIGHUP do where none is given. */
  readonly signal?: AbortSignal;
  readonly onReady?: (daemon: Daemon) => void;
}

/**
 * Runs until stopped, and resolves then. Faults of ours that nothing caught are reported and survived.
 * @throws as `startDaemon`
 */
export async function runDaemon(options: RunDaemonOptions): Promise<void> {
  const daemon = await startDaemon({ ...options, mode: 'background' });
  const stop = (): void => void daemon.stop(); // `ended` tells how that went
  const letGo = [onStopSignal(options.signal, stop), surviveFaults((fault) => daemon.report(fault), stop)];
  options.onReady?.(daemon);
  await daemon.ended;
  for (const release of letGo) release();
}

/** Whether somebody says hello there, of whatever version. */
function answersAt(version: string): (facts: LockFacts) => Promise<boolean> {
  return async ({ socket }) => {
    try {
      (await connectControl(socket, version, { anyProtocol: true, withinMs: 1_000 })).close();
      return true;
    } catch {
      return false; // whatever the reason, no supervisor of ours serves there
    }
  };
}
