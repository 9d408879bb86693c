import type { Clock } from '../model/clock.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import type { Plan } from '../model/plan.ts';
import type { Ask } from './ask.ts';
import type { LoginBudget, LoginTicket } from './budget.ts';
import { DialRace } from './dial-race.ts';
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

/**
 * Waits until all is ready and for a turn at the server, dials, and tells the budget what came of it. Rejects with the signal's reason once that is given.
 * @param proven the first try for a link that was up until a moment ago
 */
export async function login(
  plan: LinkPlan,
  deps: CarrierDeps,
  signal: AbortSignal,
  watch: LoginWatch,
  proven = false,
): Promise<Transport> {
  await deps.ready?.(signal);
  const server = serverOf(plan);
  const ticket = await turnAt(server, proven, deps, signal, watch);
  return new DialRace(plan, deps, server, signal, () => watch.trusted()).run(ticket);
}

async function turnAt(
  server: string,
  proven: boolean,
  deps: CarrierDeps,
  signal: AbortSignal,
  watch: LoginWatch,
): Promise<LoginTicket> {
  const delayMs = deps.budget.delayMs(server, proven);
  if (delayMs === 0) return deps.budget.acquire(server, signal, proven);
  watch.turn(deps.clock.nowMs() + delayMs);
  return deps.budget.acquire(server, signal, proven).finally(() => watch.turn(null));
}

/** The server that counts our connections: the first on the way. */
function serverOf({ hops: [first] }: LinkPlan): string {
  return first === undefined ? '' : formatEndpoint({ kind: 'tcp', host: first.host, port: first.port });
}
