import { formatEndpoint } from '../model/endpoint.ts';
import type { LoginTicket } from './budget.ts';
import type { CarrierDeps, LinkPlan } from './carrier-deps.ts';
import { DialRace } from './dial-race.ts';
import type { Transport } from './transport.ts';

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
