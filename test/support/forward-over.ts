import { createForward } from '../../src/forward/forward.ts';
import type { Forward } from '../../src/forward/forward-context.ts';
import type { Carrier } from '../../src/link/carrier.ts';
import { systemClock } from '../../src/link/clock.ts';
import type { Transport } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { aLocalPlan, ANY_PORT, keptPassword } from './forward-fixture.ts';

/** A local forward over one connection that is up for good: the data path without what surrounds it. The caller closes it. */
export async function forwardOver(
  transport: Transport,
  target: Endpoint,
  bind: Endpoint = ANY_PORT,
): Promise<{ readonly forward: Forward; readonly port: number }> {
  let port = 0;
  const forward = createForward(aLocalPlan(target, { bind }), {
    carrier: carrierOver(transport),
    clock: systemClock,
    limits: { connections: 1_024, perClient: 1_024 },
    whileDown: { hold: true, holdMs: 15_000, queue: 256 },
    probe: { everyMs: 30_000, timeoutMs: 5_000 },
    proxyPassword: (user) => keptPassword(user, undefined),
    onBound: (bound) => (port = bound),
    onChange: () => undefined,
    onConnection: () => undefined,
    onNote: () => undefined,
  });
  await forward.start();
  return { forward, port };
}

function carrierOver(transport: Transport): Carrier {
  return {
    open: (target, originator, signal) => transport.openDirect(target, originator, signal),
    listen: () => {
      throw new TypeError('This carrier has local forwards only');
    },
    need: () => () => undefined,
    up: true,
  };
}
