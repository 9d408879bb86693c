import { FAILURES, TunnelError } from '../../model/failure.ts';
import type { TunnelStatus } from '../../model/status.ts';

/** What `tunnel wait` waits for. */
export interface WaitFor {
  readonly state: 'up' | 'down';
  /** Its probes succeed as well; a tunnel without probes is as healthy as it is up. */
  readonly healthy: boolean;
}

/**
 * Whether the wait is over: true, false, or the reason why it will never be.
 * @param tunnel undefined where it does not run
 */
export function waitVerdict(
  name: string,
  tunnel: TunnelStatus | undefined,
  { state, healthy }: WaitFor,
): boolean | TunnelError {
  const ended = tunnel === undefined || tunnel.state === 'stopped' || tunnel.state === 'failed';
  if (state === 'down') return ended;
  if (tunnel === undefined || tunnel.state === 'stopped') return notRunning(name);
  if (tunnel.state === 'failed') return failed(name, tunnel);
  const serving = tunnel.state === 'up' || tunnel.state === 'idle';
  return serving && (!healthy || tunnel.forwards.every(({ health }) => health !== 'failing'));
}

/** NOT_RUNNING, for verbs that need a running tunnel. */
export function notRunning(name: string): TunnelError {
  return new TunnelError('NOT_RUNNING', `Cannot use ${name}: it is not running`, {
    hint: `Start it with \`tunnel up ${name}\`.`,
  });
}

function failed(name: string, { lastError }: TunnelStatus): TunnelError {
  if (lastError === null || !(lastError.code in FAILURES))
    return new TunnelError('STOPPED', `Cannot wait for ${name}: it has failed`);
  return new TunnelError(lastError.code, lastError.message, { hint: lastError.hint });
}
