import { isIP } from 'node:net';
import type { Endpoint } from './endpoint.ts';

/**
 * Whether two bind addresses want one and the same port of this machine. `localhost` is 127.0.0.1 and ::1 together;
 * `*` and `::` are every address, `0.0.0.0` every IPv4 address; port 0 is never taken. Other names are compared as written.
 */
export function bindsOverlap(a: Endpoint, b: Endpoint): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path;
  if (a.port !== b.port || a.port === 0) return false;
  const left = addressesOf(a.host);
  const right = addressesOf(b.host);
  return left.some((one) => right.some((other) => one === other || covers(one, other) || covers(other, one)));
}

function addressesOf(host: string): readonly string[] {
  const name = host.toLowerCase();
  if (name === 'localhost') return ['127.0.0.1', '::1'];
  return name === '*' ? ['0.0.0.0', '::'] : [name];
}

/** A wildcard covers its family; `::` covers IPv4 too, since such a socket takes both where the system lets it. */
function covers(wildcard: string, address: string): boolean {
  return wildcard === '::' || (wildcard === '0.0.0.0' && isIP(address) !== 6);
}
