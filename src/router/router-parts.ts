import type { Clock } from '../model/clock.ts';
import type { Gateway, MappingProtocol } from './mapping-protocol.ts';

/** What a router's mappings are asked and kept with. */
export interface RouterParts {
  readonly clock: Clock;
  /** A random number in [0, 1). */
  readonly random: () => number;
  /** @param localHost an address of ours to speak from; null leaves that to the system. Rejects with ROUTER_NOT_FOUND. */
  readonly findGateway: (localHost: string | null) => Promise<Gateway>;
  /** In the order in which they are tried. */
  readonly protocols: readonly MappingProtocol[];
  /** Asked for: routers grant what they like. */
  readonly leaseSeconds: number;
}
