import type { Clock } from '../model/clock.ts';
import type { TunnelError } from '../model/failure.ts';
import type { CarrierStatus } from './carrier.ts';
import type { LinkState } from './machine.ts';
import type { SshLink } from './ssh-link.ts';

/** What a link's state is called outside, where only the need and the outcome count. */
export function phaseOf(state: LinkState): CarrierStatus['phase'] {
  switch (state.name) {
    case 'idle':
    case 'closed':
      return 'idle';
    case 'connecting':
    case 'authenticating':
      return state.life.reason === null ? 'connecting' : 'retrying';
    case 'backoff':
      return 'retrying';
    case 'closing':
      return state.next === 'connecting' ? 'connecting' : 'idle';
    case 'up':
    case 'waiting':
    case 'failed':
      return state.name;
  }
}

/** Why a link that is wanted is not up. */
export function lastErrorOf(state: LinkState): TunnelError | null {
  switch (state.name) {
    case 'connecting':
    case 'authenticating':
      return state.life.reason;
    case 'backoff':
    case 'waiting':
    case 'failed':
      return state.reason;
    case 'idle':
    case 'up':
    case 'closing':
    case 'closed':
      return null;
  }
}

/** The status at this moment; times of the clock that never jumps become dates. */
export function carrierStatus(link: SshLink, timesUp: number, clock: Clock): CarrierStatus {
  const { state, nextDialAtMs, silentSinceMs } = link;
  const wallOf = (atMs: number): number => Math.round(clock.wallMs() + atMs - clock.nowMs());
  return {
    phase: phaseOf(state),
    latencyMs: link.latencyMs,
    reconnects: Math.max(0, timesUp - 1),
    lastError: lastErrorOf(state),
    nextRetryAtMs: nextDialAtMs === null ? null : wallOf(nextDialAtMs),
    ...(silentSinceMs === null ? {} : { silentSinceMs: wallOf(silentSinceMs) }),
    facts: link.connection?.transport.facts ?? null,
  };
}
