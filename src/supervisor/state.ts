import type { CarrierStatus } from '../link/carrier.ts';
import type { TunnelError } from '../model/failure.ts';
import type { ForwardPlan } from '../model/plan.ts';
import type { ForwardState, ForwardStatus, TunnelState } from '../model/status.ts';

/** Everything that a tunnel's state is made from. The state itself is stored nowhere: it is asked for when needed. */
export interface TunnelFacts {
  /** What was asked for, as far as it is carried out. */
  readonly wish: 'run' | 'stopping' | 'stopped';
  /** What ended it until a person starts it again: its listeners are closed. */
  readonly failure: TunnelError | null;
  /** null where no forward needs SSH. */
  readonly carrier: Pick<CarrierStatus, 'phase' | 'lastError'> | null;
  readonly openQuestions: number;
  readonly forwards: readonly ForwardLiveness[];
}

export interface ForwardLiveness {
  /** Its listener is in place. */
  readonly listening: boolean;
  /** Why it is not. */
  readonly error: TunnelError | null;
  /** It was up since its tunnel was started. */
  readonly wasUp: boolean;
  /** Nobody tries again although the error is one that time may heal. */
  readonly final?: boolean;
  /** It opens on demand, and nobody uses it now: it needs no link. */
  readonly idle?: boolean;
  /** It needs no SSH: a link that is down is none of its business. */
  readonly linkless?: boolean;
}

/** The state of one forward (product.md section 3): `connecting` before the first time up, `retrying` ever after. */
export function forwardState(forward: ForwardLiveness, tunnel: Omit<TunnelFacts, 'forwards'>): ForwardState {
  if (tunnel.wish !== 'run') return 'stopped';
  if (tunnel.failure !== null || tunnel.carrier?.phase === 'failed') return 'failed';
  if (!forward.listening) return withoutListener(forward);
  if (forward.idle === true) return 'idle';
  const phase = forward.linkless === true ? 'up' : (tunnel.carrier?.phase ?? 'up');
  switch (phase) {
    case 'up':
    case 'idle':
      return phase;
    case 'connecting':
    case 'retrying':
    case 'waiting':
      return forward.wasUp ? 'retrying' : 'connecting';
  }
}

/**
 * The state of a tunnel. It is `up` only where the link answers and every forward is in place; a forward that failed
 * for good beside others that serve makes it `retrying`, for then it is neither whole nor closed.
 */
export function tunnelState(facts: TunnelFacts): TunnelState {
  if (facts.wish !== 'run') return facts.wish;
  const phase = facts.carrier?.phase ?? 'up';
  if (facts.failure !== null || phase === 'failed') return 'failed';
  if (facts.openQuestions > 0 || phase === 'waiting') return 'waiting';
  const states = facts.forwards.map((forward) => forwardState(forward, facts));
  if (states.length > 0 && states.every((state) => state === 'failed')) return 'failed';
  if (phase === 'retrying' || states.some((state) => state === 'retrying' || state === 'failed')) return 'retrying';
  // A second try before the first time up: the error of the first is still there.
  if (phase === 'connecting') return (facts.carrier?.lastError ?? null) === null ? 'connecting' : 'retrying';
  if (states.includes('connecting')) return 'connecting';
  return phase;
}

function withoutListener({ error, final, wasUp }: ForwardLiveness): ForwardState {
  if (error !== null) return error.retryable && final !== true ? 'retrying' : 'failed';
  return wasUp ? 'retrying' : 'connecting';
}

/** Whether a forward of this kind needs an SSH connection at all. */
export function needsLink({ kind }: Pick<ForwardPlan, 'kind'>): boolean {
  return kind !== 'relay';
}

/** Whether a server listens for this forward: the next supervisor asks it for the same place. */
export function leavesSocket({ kind, state }: Pick<ForwardStatus, 'kind' | 'state'>): boolean {
  return (kind === 'remote' || kind === 'remote-socks') && state === 'up';
}
