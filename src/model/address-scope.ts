import { BlockList, isIP } from 'node:net';

/**
 * From where an address can be reached: `carrier` is a provider's own NAT (RFC 6598, and the B4 side of DS-Lite, RFC 6333),
 * `private` a network behind a router (RFC 1918, and what else the Internet does not carry).
 */
export type AddressScope = 'public' | 'private' | 'carrier';

const CARRIER = blockList([
  ['100.64.0.0', 10], // RFC 6598
  ['192.0.0.0', 29], // RFC 6333 section 5.7, RFC 7335
]);
const PRIVATE = blockList([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15], // RFC 2544
  ['224.0.0.0', 3], // multicast, reserved
]);

/** @param address IPv4 in its four numbers; anything else counts as private */
export function addressScope(address: string): AddressScope {
  if (isIP(address) !== 4 || PRIVATE.check(address)) return 'private';
  return CARRIER.check(address) ? 'carrier' : 'public';
}

function blockList(networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, length] of networks) list.addSubnet(network, length);
  return list;
}
