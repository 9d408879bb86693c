import { networkInterfaces } from 'node:os';
import { createForward, sameForward } from './forward/forward.ts';
import { MappedForward } from './forward/mapped-forward.ts';
import { LoginBudget } from './link/budget.ts';
import { systemClock } from './link/clock.ts';
import { LinkCarrier } from './link/link-carrier.ts';
import { TunnelError } from './model/failure.ts';
import type { Dial } from './link/transport.ts';
import type { PortMapper } from './model/mapping.ts';
import type { SupervisorDeps } from './supervisor/deps.ts';

/** The parts that move bytes: how to reach a server, how to listen, what time it is. */
export type Engine = Pick<SupervisorDeps, 'clock' | 'makeCarrier' | 'makeForward' | 'sameForward' | 'networkNow'>;

export interface EngineParts {
  /** Called at the first dial, and again after it failed: what speaks SSH is loaded only by whoever needs it. */
  readonly loadDial: () => Promise<Dial>;
  /** Called by each forward that wants a port of the router, once its own is bound. */
  readonly loadMapper: () => Promise<PortMapper>;
}

export function composeEngine({ loadDial, loadMapper }: EngineParts): Engine {
  const budget = new LoginBudget(systemClock); // one for all tunnels, as a server counts them all
  let loaded: Promise<Dial> | undefined;
  const dialler = async (): Promise<Dial> => {
    loaded ??= loadDial();
    try {
      return await loaded;
    } catch (error) {
      loaded = undefined;
      throw new TunnelError('PROTOCOL', 'Cannot load what speaks SSH: the files of tunnel changed beneath it', {
        cause: error,
      });
    }
  };
  return {
    clock: systemClock,
    makeCarrier: (plan, { ask, agentSocket, onNote, ready }) => {
      const dial: Dial = async (request) => {
        await ready(request.signal);
        return (await dialler())(request);
      };
      return new LinkCarrier(plan, { dial, clock: systemClock, random: Math.random, budget, ask, agentSocket, onNote });
    },
    makeForward: (plan, context) => {
      const { map } = plan;
      if (map === undefined) return createForward(plan, context);
      return new MappedForward({ plan, map, context, make: createForward, mapper: loadMapper });
    },
    sameForward,
    networkNow,
  };
}

/** Every address that others can reach us by. One that comes or goes is a change of the network. */
function networkNow(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? []).filter(({ internal }) => !internal).map(({ cidr, address }) => `${name} ${cidr ?? address}`),
  );
  return addresses.sort().join('\n');
}
