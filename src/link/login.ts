import type { Clock } from '../model/clock.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import { TunnelError } from '../model/failure.ts';
import type { FailureCode } from '../model/failure.ts';
import type { Plan } from '../model/plan.ts';
import type { Ask } from './ask.ts';
import type { LoginBudget, LoginTicket } from './budget.ts';
import type { Dial, Transport } from './transport.ts';

/** The part of a plan that concerns one SSH connection. */
export type LinkPlan = Pick<Plan, 'hops' | 'timeouts' | 'secrets' | 'keepalive' | 'reconnect'>;

/** What a carrier and its links get from outside; nothing here is closed by them. */
export interface CarrierDeps {
  readonly dial: Dial;
  readonly clock: Clock;
  /** In [0, 1), as Math.random. */
  readonly random: () => number;
  /** One for the whole process. */
  readonly budget: LoginBudget;
  readonly ask: Ask;
  /** SSH_AUTH_SOCK of the last caller: looked at for each dial. */
  readonly agentSocket: () => string | undefined;
  readonly onNote: (message: string, level?: 'info' | 'warn') => void;
  /** What every dial waits for first: other tunnels that must be up. Rejects with the signal's reason. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
}

export interface LoginWatch {
  /** The server's budget makes this login wait until then, by the monotonic clock; null once its turn has come. */
  turn(atMs: number | null): void;
  /** The host key of the last hop is trusted. */
  trusted(): void;
}

/** Ends before the server can have seen a connection, where the first hop is the only one. */
const UNSEEN: ReadonlySet<FailureCode> = new Set(['NAME_UNRESOLVED', 'CONNECT_REFUSED', 'UNREACHABLE']);

/** Waits until all is ready and for a turn at the server, dials, and tells the budget what came of it. Rejects with the signal's reason once that is given. */
export async function login(
  plan: LinkPlan,
  deps: CarrierDeps,
  signal: AbortSignal,
  watch: LoginWatch,
): Promise<Transport> {
  await deps.ready?.(signal);
  const ticket = await turnAt(serverOf(plan), deps, signal, watch);
  try {
    const transport = await deps.dial({
      hops: plan.hops,
      timeouts: plan.timeouts,
      secrets: plan.secrets,
      agentSocket: deps.agentSocket(),
      ask: deps.ask,
      onPhase: (phase) => {
        if (phase === 'authenticating' && !signal.aborted) watch.trusted();
      },
      onNote: (message) => deps.onNote(message),
      signal,
    });
    ticket.settle('loggedIn');
    return transport;
  } catch (error) {
    ticket.settle(seen(plan, error) ? 'failed' : 'unseen');
    throw signal.aborted ? signal.reason : error; // whatever a dial makes of being called off
  }
}

async function turnAt(server: string, deps: CarrierDeps, signal: AbortSignal, watch: LoginWatch): Promise<LoginTicket> {
  const delayMs = deps.budget.delayMs(server);
  if (delayMs === 0) return deps.budget.acquire(server, signal);
  watch.turn(deps.clock.nowMs() + delayMs);
  return deps.budget.acquire(server, signal).finally(() => watch.turn(null));
}

/** The server that counts our connections: the first on the way. */
function serverOf({ hops: [first] }: LinkPlan): string {
  return first === undefined ? '' : formatEndpoint({ kind: 'tcp', host: first.host, port: first.port });
}

function seen({ hops: [first, ...others] }: LinkPlan, error: unknown): boolean {
  if (first === undefined || others.length > 0 || first.proxyCommand !== null) return true;
  return !(error instanceof TunnelError && UNSEEN.has(error.code));
}
