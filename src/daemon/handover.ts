import type { Paths } from '../files/paths.ts';
import type { Clock } from '../model/clock.ts';
import { TunnelError } from '../model/failure.ts';
import type { Succession } from '../supervisor/succession.ts';
import { Heir, type HeirCommand } from './heir.ts';
import type { Lock } from './lock.ts';

export interface HandoverParts {
  readonly succession: Succession;
  readonly lock: Pick<Lock, 'facts'>;
  readonly paths: Paths;
  readonly clock: Clock;
}

/**
 * Starts the next supervisor and leaves it everything: resolves once it serves. Until then this one serves too, so that no
 * client is refused whichever of them dies. @throws PROTOCOL, HANDOVER_FAILED: nothing is left of the other then
 */
export async function handOver(command: HeirCommand, parts: HandoverParts): Promise<Heir> {
  const { succession, lock, paths, clock } = parts;
  if (process.platform === 'win32') {
    throw new TunnelError(
      'PROTOCOL',
      'Cannot hand over the supervisor: Windows lets no child inherit listening sockets',
    );
  }
  const heir = await Heir.start(command, succession.estate.sockets, paths, clock);
  try {
    await heir.ready();
    await succession.prepare();
    await heir.serves(lock.facts.token, succession.estate);
    return heir;
  } catch (error) {
    await heir.kill();
    succession.cancel();
    throw error;
  }
}

/**
 * @throws TunnelError PROTOCOL where whoever started this process watches it: a service manager takes the end of its main
 *   process for the end of the service, and ends the next supervisor with it
 */
export function refuseWhereWatched(env: NodeJS.ProcessEnv, pid: number): void {
  // systemd.exec(5): set for the main process of a service since systemd 248; its children inherit the variable, not the pid.
  const who = env['SYSTEMD_EXEC_PID'] === String(pid) ? 'systemd' : pid === 1 ? 'a container' : undefined;
  if (who === undefined) return;
  throw new TunnelError('PROTOCOL', `Cannot hand over the supervisor: ${who} runs it`, {
    hint: 'Restart the service instead.',
  });
}
