import { isIP } from 'node:net';

/** One end of a connection. */
export interface ProxyAddress {
  readonly address: string;
  readonly port: number;
}

/** Who called, and which of our addresses; null where there is none to tell: a unix socket, a probe of our own. */
export interface ProxiedConnection {
  readonly transport: 'tcp' | 'udp';
  readonly ends: { readonly source: ProxyAddress; readonly destination: ProxyAddress } | null;
}

/** Section 2.2: the first twelve bytes of version 2. */
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** Version 2 in the high half; the commands LOCAL and PROXY in the low one. */
const LOCAL = 0x20;
const PROXY = 0x21;

/**
 * The bytes that go before everything else to a target that wants to know who is really calling: the PROXY protocol
 * of HAProxy (proxy-protocol.txt, sections 2.1 and 2.2). Where the ends are not of one family, or are unknown, it says so
 * in the protocol's own way, and the target takes the connection as it is.
 * @throws RangeError for version 1 over UDP, which has no form for it
 */
export function proxyHeader(version: 'v1' | 'v2', connection: ProxiedConnection): Buffer {
  return version === 'v1' ? textHeader(connection) : binaryHeader(connection);
}

function textHeader({ transport, ends }: ProxiedConnection): Buffer {
  if (transport === 'udp') throw new RangeError('Version 1 of the PROXY protocol has no form for UDP');
  const known = ends === null ? undefined : sameFamily(ends.source, ends.destination);
  if (known === undefined) return Buffer.from('PROXY UNKNOWN\r\n');
  const { family, source, destination } = known;
  return Buffer.from(
    `PROXY TCP${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`,
  );
}

function binaryHeader({ transport, ends }: ProxiedConnection): Buffer {
  const known = ends === null ? undefined : sameFamily(ends.source, ends.destination);
  if (known === undefined) return Buffer.concat([SIGNATURE, Buffer.from([ends === null ? LOCAL : PROXY, 0, 0, 0])]);
  const { family, source, destination } = known;
  const addresses = Buffer.concat([addressBytes(source.address), addressBytes(destination.address)]);
  const head = Buffer.from([PROXY, (family === 4 ? 0x10 : 0x20) | (transport === 'tcp' ? 1 : 2), 0, 0]);
  head.writeUInt16BE(addresses.length + 4, 2);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  return Buffer.concat([SIGNATURE, head, addresses, ports]);
}

interface Known {
  readonly family: 4 | 6;
  readonly source: ProxyAddress;
  readonly destination: ProxyAddress;
}

function sameFamily(from: ProxyAddress, to: ProxyAddress): Known | undefined {
  const source = { ...from, address: plainAddress(from.address) };
  const destination = { ...to, address: plainAddress(to.address) };
  const family = isIP(source.address);
  if ((family !== 4 && family !== 6) || family !== isIP(destination.address)) return undefined;
  return { family, source, destination };
}

/** Without a zone, which means nothing elsewhere; an IPv4 address in IPv6's clothes as what it is. */
function plainAddress(address: string): string {
  const [zoneless = ''] = address.split('%');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(zoneless)?.[1];
  return mapped ?? zoneless;
}

/** An address literal as 4 or 16 bytes, in network order. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  const [head = '', tail] = withoutDots(address).split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail ?? '');
  left.forEach((group, index) => bytes.writeUInt16BE(group, index * 2));
  right.forEach((group, index) => bytes.writeUInt16BE(group, (8 - right.length + index) * 2));
  return bytes;
}

/** RFC 4291 section 2.2: the last 32 bits may be written as an IPv4 address. */
function withoutDots(address: string): string {
  return address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a: string, b: string, c: string, d: string) => {
    return `${((Number(a) << 8) | Number(b)).toString(16)}:${((Number(c) << 8) | Number(d)).toString(16)}`;
  });
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => parseInt(group, 16));
}
