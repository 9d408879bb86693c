import type { Channel, Originator } from '../link/transport.ts';
import type { Clock } from '../model/clock.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import { forwardTarget } from '../model/forward-target.ts';
import type { RelayForwardPlan } from '../model/plan.ts';
import { dialSocket, SocketChannel } from './reach/dial.ts';
import type { Forward, ForwardContext } from './forward-context.ts';
import { ListeningForward } from './listening-forward.ts';
import { noCarrier } from './reach/no-carrier.ts';
import { proxyHeader, type ProxiedConnection } from './reach/proxy-protocol.ts';
import type { Bargain } from './reach/route.ts';
import { TargetPool } from './reach/target-pool.ts';

/** A target that is silent for so long is passed over while another is left: three tries of TCP, and a client waits for it. */
const PASS_OVER_MS = 3_000;

/** A listener of ours whose clients are led to one of the targets by TCP, from this machine: the router's job. */
export function tcpRelay(plan: RelayForwardPlan, context: ForwardContext): Forward {
  const reach = async (target: Endpoint, connection: ProxiedConnection, signal: AbortSignal): Promise<Channel> => {
    const socket = await dialSocket(target, signal);
    if (plan.proxyProtocol !== null) socket.write(proxyHeader(plan.proxyProtocol, connection));
    return new SocketChannel(socket);
  };
  const pool = new TargetPool({
    plan,
    context,
    dial: (target, _originator, signal) => reach(target, OURS, signal),
    reaches: (target) => answers(target, plan.connectMs, context.clock),
  });
  const label = forwardTarget(plan);
  const route = {
    label,
    probed: null,
    health: pool,
    negotiate: () => Promise.resolve<Bargain>(new RelayBargain({ plan, pool, clock: context.clock, reach })),
    dial: (target: Endpoint, _originator: Originator, signal: AbortSignal) => reach(target, OURS, signal),
  };
  return new ListeningForward(plan, route, { ...context, carrier: noCarrier });
}

/** A probe is a connection of our own: the protocol has a way to say that. */
const OURS: ProxiedConnection = { transport: 'tcp', ends: null };

async function answers(target: Endpoint, limitMs: number, clock: Clock): Promise<boolean> {
  const late = new AbortController();
  const cancel = clock.after(limitMs, () => late.abort(tooLate(target, limitMs)));
  try {
    (await dialSocket(target, late.signal)).destroy();
    return true;
  } catch (error) {
    if (error instanceof TunnelError) return false;
    throw error;
  } finally {
    cancel();
  }
}

interface RelayParts {
  readonly plan: RelayForwardPlan;
  readonly pool: TargetPool;
  readonly clock: Clock;
  readonly reach: (target: Endpoint, connection: ProxiedConnection, signal: AbortSignal) => Promise<Channel>;
}

/** One client's way to whichever target answers first, in the pool's order. */
class RelayBargain implements Bargain {
  target: Endpoint;
  readonly #parts: RelayParts;
  readonly #order: readonly Endpoint[];

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#order = parts.pool.next();
    this.target = this.#order[0] ?? parts.plan.bind; // a relay has a target: the schema holds it to that
  }

  async dial(_target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel> {
    const { plan, pool } = this.#parts;
    let last: TunnelError | undefined;
    for (const [index, target] of this.#order.entries()) {
      this.target = target;
      const limitMs = index === this.#order.length - 1 ? plan.connectMs : Math.min(plan.connectMs, PASS_OVER_MS);
      try {
        const channel = await this.#within(limitMs, target, originator, signal);
        pool.answered(target);
        return channel;
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        last = asTunnelError(thrown);
        pool.failed(target, last);
      }
    }
    throw last ?? new TunnelError('INTERNAL', 'Cannot relay a connection: there is no target');
  }

  async #within(limitMs: number, target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel> {
    const late = new AbortController();
    const cancel = this.#parts.clock.after(limitMs, () => late.abort(tooLate(target, limitMs)));
    try {
      return await this.#parts.reach(target, proxied(originator), AbortSignal.any([signal, late.signal]));
    } finally {
      cancel();
    }
  }
}

function proxied({ address, port, reached }: Originator): ProxiedConnection {
  return { transport: 'tcp', ends: reached === undefined ? null : { source: { address, port }, destination: reached } };
}

function tooLate(target: Endpoint, limitMs: number): TunnelError {
  const why = `no answer within ${limitMs / 1_000} s`;
  return new TunnelError('CONNECT_TIMEOUT', `Cannot connect to ${formatEndpoint(target)}: ${why}`);
}
