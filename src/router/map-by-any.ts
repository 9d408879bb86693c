import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { Gateway, Grant, MapAsk, MappingProtocol } from './mapping-protocol.ts';
import { wishText } from './router-refusal.ts';

/** A mapping, and who is to be asked to renew and to remove it. */
export interface Granted {
  readonly protocol: MappingProtocol;
  readonly gateway: Gateway;
  readonly ask: MapAsk;
  readonly grant: Grant;
}

/**
 * Asks by one protocol after the other until one grants. A router that refuses by one may grant by the next: each is
 * switched on and off, and limited, by itself.
 * @throws ROUTER_NOT_PUBLIC or ROUTER_REFUSED with the refusal that says most, else ROUTER_NOT_FOUND; the hint says what to enter by hand
 */
export async function mapByAny(
  protocols: readonly MappingProtocol[],
  ask: MapAsk,
  gateway: Gateway,
  signal: AbortSignal,
): Promise<Granted> {
  const failures: TunnelError[] = [];
  for (const protocol of protocols) {
    try {
      return { protocol, gateway, ask, grant: await protocol.map(ask, gateway, signal) };
    } catch (thrown) {
      signal.throwIfAborted();
      failures.push(asTunnelError(thrown));
    }
  }
  throw mostTelling(failures, protocols, ask, gateway);
}

function mostTelling(
  failures: readonly TunnelError[],
  protocols: readonly MappingProtocol[],
  ask: MapAsk,
  gateway: Gateway,
): TunnelError {
  const { externalPort, protocol, internalPort } = ask;
  const byHand = `Or enter it there by hand: port ${externalPort} (${protocol.toUpperCase()}) to ${gateway.local}:${internalPort}.`;
  // A router without an address of its own calls that by whatever name: the protocol that says so outright knows best.
  const known = failures.filter(({ code }) => code !== 'ROUTER_NOT_FOUND');
  const telling = known.find(({ code }) => code === 'ROUTER_NOT_PUBLIC') ?? known[0];
  if (telling !== undefined) {
    return new TunnelError(telling.code, telling.message, { cause: telling, hint: `${telling.hint} ${byHand}` });
  }
  const ways = protocols.map(({ way }) => way).join(', ');
  const message = `Cannot map ${wishText(ask, gateway)}: it does not answer by ${ways}`;
  const hint = `Switch on PCP, NAT-PMP or UPnP in the router's settings. ${byHand}`;
  return new TunnelError('ROUTER_NOT_FOUND', message, { cause: new AggregateError(failures), hint });
}
