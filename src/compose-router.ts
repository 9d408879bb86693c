// What asks the router for ports. Loaded by whoever has a mapping to keep, and no sooner.
import { createHmac, randomBytes } from 'node:crypto';
import { mappingSeed } from './files/mapping-seed.ts';
import type { Paths } from './files/paths.ts';
import { systemClock } from './link/clock.ts';
import { asTunnelError } from './model/failure.ts';
import { MAPPING_WAYS, type MappingWay } from './model/mapping.ts';
import { findGateway } from './router/default-gateway.ts';
import type { MappingProtocol } from './router/mapping-protocol.ts';
import { NatPmp } from './router/nat-pmp.ts';
import { Pcp } from './router/pcp.ts';
import { NONCE_LENGTH } from './router/pcp-codec.ts';
import { Router } from './router/router.ts';
import { Upnp } from './router/upnp.ts';

/** RFC 6886 section 3.3 recommends two hours. */
const LEASE_SECONDS = 7_200;

export interface RouterOptions {
  readonly paths: Pick<Paths, 'mappingSeedFile'>;
  readonly onNote: (message: string) => void;
  /** Default: all, in this order. */
  readonly ways?: readonly MappingWay[];
  readonly leaseSeconds?: number;
}

/** The default gateway of this machine, as the real protocols reach it. */
export function composeRouter({
  paths,
  onNote,
  ways = MAPPING_WAYS,
  leaseSeconds = LEASE_SECONDS,
}: RouterOptions): Router {
  const clock = systemClock;
  const random = Math.random;
  const seed = seedOf(paths.mappingSeedFile, onNote);
  const protocols: Readonly<Record<MappingWay, () => MappingProtocol>> = {
    PCP: () =>
      new Pcp({
        clock,
        // RFC 6887 section 11.2 wants it hard to guess and the same for renewal; so it is after a crash, too.
        nonce: async ({ address, local }, { protocol, internalPort }) =>
          createHmac('sha256', await seed())
            .update(`${address} ${local} ${protocol} ${internalPort}`)
            .digest()
            .subarray(0, NONCE_LENGTH),
      }),
    'NAT-PMP': () => new NatPmp({ clock }),
    UPnP: () => new Upnp({ clock, random }),
  };
  return new Router({ clock, random, findGateway, protocols: ways.map((way) => protocols[way]()), leaseSeconds });
}

/** Without a disk to keep them on they serve this process alone. */
function seedOf(file: string, onNote: (message: string) => void): () => Promise<Buffer> {
  let seed: Promise<Buffer> | undefined;
  return () => {
    seed ??= mappingSeed(file).catch((thrown: unknown) => {
      onNote(`After a crash the router may refuse to renew a mapping (PCP): ${asTunnelError(thrown).message}`);
      return randomBytes(NONCE_LENGTH);
    });
    return seed;
  };
}
