import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { proxyHeader, type ProxiedConnection } from '../../src/forward/reach/proxy-protocol.ts';

const tcp = (from: string, fromPort: number, to: string, toPort: number): ProxiedConnection => ({
  transport: 'tcp',
  ends: { source: { address: from, port: fromPort }, destination: { address: to, port: toPort } },
});
const FOUR = tcp('192.168.0.1', 56_324, '192.168.0.11', 443);
const LONGEST = 'ffff:f:f:f:f:f:f:ffff';

describe('version 1 of the PROXY protocol', () => {
  test.each([
    ['the example of the specification', FOUR, 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'],
    [
      'its longest line over IPv4',
      tcp('255.255.255.255', 65_535, '255.255.255.255', 65_535),
      'PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n',
    ],
    ['IPv6', tcp(LONGEST, 65_535, LONGEST, 65_535), `PROXY TCP6 ${LONGEST} ${LONGEST} 65535 65535\r\n`],
    ['IPv4 in the clothes of IPv6', tcp('::ffff:10.0.0.1', 1, '10.0.0.2', 2), 'PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n'],
    [
      'a link-local zone, which means nothing elsewhere',
      tcp('fe80::1%eth0', 1, 'fe80::2%eth0', 2),
      'PROXY TCP6 fe80::1 fe80::2 1 2\r\n',
    ],
    ['two families', tcp('10.0.0.1', 1, '::1', 2), 'PROXY UNKNOWN\r\n'],
    ['nobody: a probe of ours, a unix socket', { transport: 'tcp', ends: null } as const, 'PROXY UNKNOWN\r\n'],
  ])('%s', (_what, connection, line) => {
    expect(proxyHeader('v1', connection).toString('latin1')).toBe(line);
  });

  test('has no form for UDP', () => {
    expect(() => proxyHeader('v1', { ...FOUR, transport: 'udp' })).toThrow(RangeError);
  });
});

/** Section 2.2, by hand: signature, version and command, family and transport, length, addresses, ports. */
const SIGNATURE = '0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a';
const hex = (text: string): string => text.replace(/ /g, '');

describe('version 2 of the PROXY protocol', () => {
  test.each([
    ['TCP over IPv4', FOUR, '21 11 00 0c c0 a8 00 01 c0 a8 00 0b dc 04 01 bb'],
    ['UDP over IPv4', { ...FOUR, transport: 'udp' } as const, '21 12 00 0c c0 a8 00 01 c0 a8 00 0b dc 04 01 bb'],
    [
      'TCP over IPv6',
      tcp('2001:db8::1', 56_324, '::1', 443),
      `21 21 00 24 20 01 0d b8 ${'00 '.repeat(11)}01 ${'00 '.repeat(15)}01 dc 04 01 bb`,
    ],
    ['two families: as it is', tcp('10.0.0.1', 1, '::1', 2), '21 00 00 00'],
    ['nobody: LOCAL, for probes', { transport: 'tcp', ends: null } as const, '20 00 00 00'],
  ])('%s', (_what, connection, bytes) => {
    expect(proxyHeader('v2', connection).toString('hex')).toBe(hex(`${SIGNATURE} ${bytes}`));
  });

  test('says any pair of addresses and ports so that they are read back', () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    const ends = fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4()), fc.tuple(fc.ipV6(), fc.ipV6()));

    fc.assert(
      fc.property(ends, port, port, ([from, to], fromPort, toPort) => {
        const read = readBack(proxyHeader('v2', tcp(from, fromPort, to, toPort)));
        expect(read).toEqual({ from: canonical(from), to: canonical(to), fromPort, toPort });
      }),
      { numRuns: 500 },
    );
  });

  test('is said of any text in the place of an address without a fault', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (from, to) => {
        expect(proxyHeader('v2', tcp(from, 1, to, 2)).length).toBeGreaterThanOrEqual(16);
        expect(proxyHeader('v1', tcp(from, 1, to, 2)).toString()).toMatch(/^PROXY [^\r\n]*\r\n$/);
      }),
    );
  });
});

/** The specification's own reading of a header, for one transport. */
function readBack(header: Buffer): unknown {
  const length = header.readUInt16BE(14);
  const body = header.subarray(16);
  expect(body.length).toBe(length);
  const size = length === 12 ? 4 : 16;
  const address = (at: number): string => canonical(textOf(body.subarray(at, at + size)));
  return {
    from: address(0),
    to: address(size),
    fromPort: body.readUInt16BE(size * 2),
    toPort: body.readUInt16BE(size * 2 + 2),
  };
}

function textOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':');
}

/** One spelling for each address; IPv4 in the clothes of IPv6 is IPv4. */
function canonical(address: string): string {
  if (isIP(address) === 4) return address;
  const six = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(six);
  if (mapped === null || !/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address)) return six;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(parseInt(mapped[1] ?? '', 16), 0);
  bytes.writeUInt16BE(parseInt(mapped[2] ?? '', 16), 2);
  return bytes.join('.');
}
