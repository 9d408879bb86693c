import { setTimeout as sleep } from 'node:timers/promises';
import { connectControl, type ConnectOptions, type ControlClient } from '../control/client.ts';
import { errorCode } from '../files/file-error.ts';
import type { Paths } from '../files/paths.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { LockFacts } from './lock-facts.ts';
import { readLock } from './lock-file.ts';
import { livenessOf } from './process-identity.ts';

/** A supervisor that runs but does not listen is about to start, to mend its socket, or to stop, which takes longest. */
const LISTENS_WITHIN_MS = 8_000;
/** A try that took so long and was let in. */
const FROZEN_AFTER_MS = 1_000;
/** What the system says where nobody could let us in. However long that took: on a busy machine it was we who stood still. */
const NOBODY_THERE = ['ENOENT', 'ECONNREFUSED'];
const POLL_MS = 20;

/**
 * A line to the supervisor of this home, or undefined where none runs. Never starts one.
 * @throws TunnelError SUPERVISOR_UNREACHABLE when one runs and does not answer, PROTOCOL when it speaks another protocol
 */
export async function connectIfRunning(
  paths: Pick<Paths, 'lockFile'>,
  version: string,
  options: ConnectOptions = {},
): Promise<ControlClient | undefined> {
  const endsAtMs = uptimeMs() + LISTENS_WITHIN_MS;
  for (;;) {
    const lock = readLock(paths.lockFile);
    if (lock === undefined || (await livenessOf(lock)) === 'dead') return undefined;
    const triedAtMs = uptimeMs();
    try {
      return await connectControl(lock.socket, version, options);
    } catch (thrown) {
      const error = asTunnelError(thrown);
      if (error.code !== 'SUPERVISOR_UNREACHABLE') throw error;
      const liveness = await livenessOf(lock);
      if (liveness === 'dead') return undefined;
      // Whoever lets us in and then says nothing is frozen, and no second try makes it speak.
      const frozen = uptimeMs() - triedAtMs > FROZEN_AFTER_MS && !NOBODY_THERE.includes(errorCode(error.cause));
      if (uptimeMs() > endsAtMs || frozen) {
        if (liveness === 'perhaps') return undefined; // the pid is another program's by now
        throw silent(lock, error);
      }
    }
    await sleep(POLL_MS);
  }
}

/** Of this process: `performance` is a module that is loaded when first asked, for a millisecond of every start. */
function uptimeMs(): number {
  return process.uptime() * 1_000;
}

function silent(lock: LockFacts, cause: TunnelError): TunnelError {
  return new TunnelError('SUPERVISOR_UNREACHABLE', `${cause.message}, though it runs (pid ${lock.pid})`, {
    cause,
    hint: 'Run `tunnel daemon restart`.',
  });
}
