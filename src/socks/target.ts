import { isHostName, type TcpEndpoint } from '../model/endpoint.ts';

/** What a client asks for, where it can be asked for: a name or an address, and a port that is not 0. */
export function targetOf(host: string, port: number): TcpEndpoint | undefined {
  return port > 0 && isHostName(host) ? { kind: 'tcp', host, port } : undefined;
}

export function ipv4Text(address: Buffer): string {
  return address.join('.');
}

/** In the canonical form of RFC 5952, which the URL standard takes as well. */
export function ipv6Text(address: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
