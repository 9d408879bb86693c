import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { ListedMapping, RouterView, WayView } from '../model/mapping.ts';
import { doubleNat } from './double-nat.ts';
import type { Gateway, MappingProtocol } from './mapping-protocol.ts';

/**
 * What a router says of itself, asked for nothing: by which protocols it answers, its outer address, and its list of
 * mappings where it has one. @throws ROUTER_NOT_FOUND where it answers by none
 */
export async function surveyRouter(
  protocols: readonly MappingProtocol[],
  gateway: Gateway,
  signal: AbortSignal,
): Promise<RouterView> {
  const ways = await Promise.all(protocols.map((protocol) => viewOf(protocol, gateway, signal)));
  signal.throwIfAborted();
  const answering = ways.filter(({ answers }) => answers);
  if (answering.length === 0) throw silent(ways, gateway);
  const external = answering.find((view) => view.external !== null)?.external ?? null;
  const { address: router, local } = gateway;
  const trouble =
    external === null ? answering.find(({ error }) => error !== null)?.error : doubleNat(external, router);
  return { router, local, external, ways, mappings: await listOf(protocols, gateway, signal), error: trouble ?? null };
}

async function viewOf(protocol: MappingProtocol, gateway: Gateway, signal: AbortSignal): Promise<WayView> {
  const { way } = protocol;
  try {
    const { externalHost } = await protocol.look(null, gateway, signal);
    return { way, answers: true, external: externalHost, error: null };
  } catch (thrown) {
    const error = asTunnelError(thrown);
    return { way, answers: error.code !== 'ROUTER_NOT_FOUND', external: null, error };
  }
}

/** A router without a list, or that keeps it to itself, has none to show. */
async function listOf(
  protocols: readonly MappingProtocol[],
  gateway: Gateway,
  signal: AbortSignal,
): Promise<readonly ListedMapping[] | null> {
  const lister = protocols.find((protocol) => protocol.list !== undefined);
  try {
    return (await lister?.list?.(gateway, signal)) ?? null;
  } catch (thrown) {
    if (asTunnelError(thrown).code === 'INTERNAL') throw thrown;
    return null;
  }
}

function silent(ways: readonly WayView[], { address }: Gateway): TunnelError {
  const asked = ways.map(({ way }) => way).join(', ');
  return new TunnelError('ROUTER_NOT_FOUND', `Cannot ask the router ${address}: it does not answer by ${asked}`);
}
