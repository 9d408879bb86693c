import { isIP } from 'node:net';
import { isBoundFor } from './unix-socket.ts';

/** One listening socket in /proc/net. `uid` is its owner's, where the table tells. */
export interface HeldSocket {
  readonly inode: string;
  readonly uid: number | null;
}

/** The state of a socket that others can reach: a listener of TCP; of UDP, one that is not connected. */
const OPEN = { tcp: '0A', udp: '07' };

/**
 * The sockets in the text of /proc/net/tcp, tcp6, udp or udp6 that stand in the way of `host:port`: the same address, or
 * every address on either side.
 */
export function boundSockets(
  table: string,
  host: string,
  port: number,
  protocol: 'tcp' | 'udp' = 'tcp',
): readonly HeldSocket[] {
  const found: HeldSocket[] = [];
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', , state, , , , uid, , inode = ''] = line.trim().split(/\s+/);
    const [address = '', hexPort = ''] = local.split(':');
    if (state !== OPEN[protocol] || parseInt(hexPort, 16) !== port || !inWay(procAddress(address), host)) continue;
    found.push({ inode, uid: Number(uid) });
  }
  return found;
}

/** The sockets in the text of /proc/net/unix that were bound for `path`. */
export function unixListeners(table: string, path: string): readonly HeldSocket[] {
  return table
    .split('\n')
    .map((line) => /^\S+ \S+ \S+ \S+ \S+ \S+ +(\d+) (.*)$/.exec(line))
    .filter((match) => match?.[2] !== undefined && isBoundFor(match[2], path))
    .map((match) => ({ inode: match?.[1] ?? '', uid: null }));
}

function inWay(theirs: string, ours: string): boolean {
  const every = ['0.0.0.0', '::', '*'];
  if (ours === 'localhost') return every.includes(theirs) || theirs === '127.0.0.1' || theirs === '::1';
  return theirs === ours || every.includes(theirs) || every.includes(ours) || isIP(ours) === 0;
}

/** The kernel prints each 32-bit word as a number of the machine: little-endian on all that Node runs on but s390x. */
function procAddress(hex: string): string {
  const words = (hex.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').reverse());
  const bytes = Buffer.concat(words);
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1); // the shortest form, as isIP and people write it
}
