import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isHostName, type TcpEndpoint } from '../../src/model/endpoint.ts';
import { readProxy } from '../../src/socks/codec.ts';
import type { Stage, Step } from '../../src/socks/step.ts';
import { deniedReply, grantedReply } from '../../src/socks/replies.ts';

/** Plays the client's bytes to their end, as one that is let in: the step that ended the conversation, and what was told on the way. */
function play(bytes: Buffer, login = false): { end: Step; replies: string; used: number; logins: string[] } {
  let stage: Stage = 'start';
  let used = 0;
  let replies = '';
  const logins: string[] = [];
  for (;;) {
    const step = readProxy(stage, bytes.subarray(used), login);
    if (step.name === 'more' || step.name === 'refuse') return { end: step, replies, used, logins };
    used += step.taken;
    if (step.name === 'connect') return { end: step, replies, used, logins };
    if (step.name === 'login') logins.push(`${step.credentials.user}:${step.credentials.password}`);
    replies += (step.name === 'answer' ? step.reply : step.accepted).toString('hex');
    stage = step.next;
  }
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const targetOf = (bytes: Buffer, login = false): unknown => {
  const { end } = play(bytes, login);
  return end.name === 'connect' ? [end.protocol, end.target.host, end.target.port] : end;
};
const refused = (reply: string, why: string): Step => ({ name: 'refuse', reply: hex(reply), why });

function socks5Name(host: string, port: number): Buffer {
  const name = Buffer.from(host);
  return Buffer.concat([
    hex('05 01 00 05 01 00 03'),
    Buffer.from([name.length]),
    name,
    Buffer.from([port >> 8, port & 255]),
  ]);
}

describe('SOCKS5', () => {
  test.each([
    ['an IPv4 address', '05 01 00 05 01 00 01 0a000001 0050', ['socks5', '10.0.0.1', 80]],
    ['an IPv6 address', '05 01 00 05 01 00 04 20010db8000000000000000000000001 01bb', ['socks5', '2001:db8::1', 443]],
    ['a name, left to the server', '05 02 00 02 05 01 00 03 03 706f70 006e', ['socks5', 'pop', 110]],
  ])('connects to %s', (_name, bytes, target) => {
    expect(targetOf(hex(bytes))).toEqual(target);
  });

  test.each([
    ['BIND', '05 01 00 05 02 00 01 00000000 0000', '05 07 00 01 00000000 0000', 'SOCKS5 BIND is not offered'],
    ['UDP ASSOCIATE', '05 01 00 05 03', '05 07 00 01 00000000 0000', 'SOCKS5 UDP ASSOCIATE is not offered'],
    ['an unknown command', '05 01 00 05 09', '05 07 00 01 00000000 0000', 'SOCKS5 command 9 is not offered'],
    ['an unknown address type', '05 01 00 05 01 00 02', '05 08 00 01 00000000 0000', 'its address type is unknown'],
    ['port 0', '05 01 00 05 01 00 01 0a000001 0000', '05 01 00 01 00000000 0000', 'it asks for no address'],
    [
      'a name that is none',
      '05 01 00 05 01 00 03 03 612062 0050',
      '05 01 00 01 00000000 0000',
      'it asks for no address',
    ],
    ['another version in the middle', '05 01 00 04', '05 01 00 01 00000000 0000', 'its SOCKS5 request is malformed'],
    ['a client that insists on a login', '05 01 02', '05 ff', 'it insists on a login'],
    ['no method at all', '05 00', '05 ff', 'it insists on a login'],
  ])('refuses %s with its own code', (_name, bytes, reply, why) => {
    expect(play(hex(bytes)).end).toEqual(refused(reply, why));
  });

  test('asks for a login where one is wanted, and says who logs in', () => {
    const said = play(hex('05 02 00 02 01 05 616c696365 06 733363726574 05 01 00 01 0a000001 0050'), true);
    expect([said.replies, said.logins, said.end.name]).toEqual(['05020100', ['alice:s3cret'], 'connect']);
    expect(play(hex('05 01 00'), true).end).toEqual(refused('05 ff', 'it does not log in with a password'));
    expect(play(hex('05 01 02 05'), true).end).toEqual(refused('01 01', 'its SOCKS5 login is malformed'));
  });
});

describe('SOCKS4', () => {
  test.each([
    ['an address', '04 01 0050 0a000001 00', ['socks4', '10.0.0.1', 80]],
    [
      'an address, with a user id that nobody asked for',
      '04 01 0050 0a000001 616c69636500',
      ['socks4', '10.0.0.1', 80],
    ],
    ['a name, by 4a', '04 01 006e 00000001 00 706f7000', ['socks4', 'pop', 110]],
  ])('connects to %s', (_name, bytes, target) => {
    expect(targetOf(hex(bytes))).toEqual(target);
  });

  test.each([
    ['BIND', hex('04 02 0050 0a000001 00'), 'SOCKS4 BIND is not offered'],
    [
      'a user id without an end',
      Buffer.concat([hex('04 01 0050 0a000001'), Buffer.alloc(256, 'a')]),
      'its SOCKS4 request is too long',
    ],
    ['an empty name', hex('04 01 0050 00000001 00 00'), 'it asks for no address'],
  ])('refuses %s', (_name, bytes, why) => {
    expect(play(bytes).end).toEqual(refused('00 5b 0000 00000000', why));
  });

  test('is refused where a login is wanted, for it knows no password', () => {
    expect(play(hex('04 01'), true).end).toEqual(refused('00 5b 0000 00000000', 'SOCKS4 has no login with a password'));
  });
});

describe('HTTP CONNECT', () => {
  const head = (...lines: string[]): Buffer => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);

  test.each([
    [
      'a name',
      head('CONNECT pop.example.org:110 HTTP/1.1', 'Host: pop.example.org:110'),
      ['http', 'pop.example.org', 110],
    ],
    ['an IPv6 address', head('CONNECT [2001:db8::1]:443 HTTP/1.1'), ['http', '2001:db8::1', 443]],
    ['a name, by bare line ends', Buffer.from('CONNECT pop:110 HTTP/1.0\n\n'), ['http', 'pop', 110]],
  ])('connects to %s', (_name, bytes, target) => {
    expect(targetOf(bytes)).toEqual(target);
  });

  test.each([
    ['GET', head('GET http://a/ HTTP/1.1'), /^HTTP\/1\.1 405 .*\r\nAllow: CONNECT\r\n/s, 'HTTP GET is not offered'],
    ['a target without a port', head('CONNECT pop HTTP/1.1'), /^HTTP\/1\.1 400 /, 'it asks for no address'],
    ['a wildcard', head('CONNECT *:80 HTTP/1.1'), /^HTTP\/1\.1 400 /, 'it asks for no address'],
    ['what is no request', head('EHLO me'), /^HTTP\/1\.1 400 /, 'its HTTP request is malformed'],
    ['an endless head', Buffer.alloc(8192, 'A'), /^HTTP\/1\.1 431 /, 'its HTTP request is too long'],
  ])('refuses %s', (_name, bytes, reply, why) => {
    const { end } = play(bytes);
    expect(end).toMatchObject({ name: 'refuse', why });
    expect(end.name === 'refuse' ? end.reply.toString() : '').toMatch(reply);
  });

  test('asks for a login where one is wanted, and reads it from the header', () => {
    const { end } = play(head('CONNECT a:1 HTTP/1.1'), true);
    expect(end.name === 'refuse' ? end.reply.toString() : '').toMatch(
      /^HTTP\/1\.1 407 .*\r\nProxy-Authenticate: Basic /s,
    );
    const credentials = Buffer.from('alice:a:b').toString('base64');
    const said = play(head('CONNECT a:1 HTTP/1.1', `proxy-authorization: basic ${credentials}`), true);
    expect([said.logins, said.end.name]).toEqual([['alice:a:b'], 'connect']);
  });
});

test('what is neither SOCKS nor HTTP gets no answer', () => {
  expect(play(hex('16 03 01')).end).toEqual(refused('', 'it speaks neither SOCKS nor HTTP'));
});

describe('whatever a client sends', () => {
  const socksLike = fc
    .tuple(
      fc.constantFrom('04', '05', '0501', '0501000501', '0502000201', '434f4e4e45435420'),
      fc.uint8Array({ maxLength: 600 }),
    )
    .map(([start, rest]) => Buffer.concat([hex(start), rest]));
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
    socksLike,
  );

  test('nothing throws, never more is used than was said, and a target is one that can be dialled', () => {
    fc.assert(
      fc.property(hostile, fc.boolean(), (bytes, login) => {
        const { end, used } = play(bytes, login);
        expect(used).toBeLessThanOrEqual(bytes.length);
        if (end.name === 'connect') expect([end.target.port > 0, isHostName(end.target.host)]).toEqual([true, true]);
      }),
      { numRuns: 2_000 },
    );
  });

  test('it makes no difference in how many pieces it comes: what is decided early stays so', () => {
    fc.assert(
      fc.property(hostile, fc.nat(), fc.boolean(), (bytes, at, login) => {
        const early = play(bytes.subarray(0, at % (bytes.length + 1)), login).end;
        if (early.name !== 'more') expect(play(bytes, login).end).toEqual(early);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a request is read back as it was asked, whatever follows it', () => {
    const endpoint = fc.record({
      kind: fc.constant('tcp' as const),
      host: fc.oneof(fc.domain(), fc.ipV4()),
      port: fc.integer({ min: 1, max: 65_535 }),
    });
    fc.assert(
      fc.property(endpoint, fc.uint8Array(), ({ host, port }: TcpEndpoint, payload) => {
        const asked = socks5Name(host, port);
        const { end, used } = play(Buffer.concat([asked, payload]));
        expect([end, used]).toMatchObject([{ name: 'connect', target: { host, port } }, asked.length]);
      }),
    );
  });
});

test('each failure is told in the words of the protocol', () => {
  const codes = [
    'TARGET_PROHIBITED',
    'TARGET_REFUSED',
    'NAME_UNRESOLVED',
    'CHANNEL_TIMEOUT',
    'CONNECTION_LOST',
  ] as const;
  const socks5 = codes.map((code) => deniedReply('socks5', code, '')[1]);
  const http = codes.map((code) => deniedReply('http', code, 'why').toString().slice(9, 12));
  expect({ socks5, http }).toEqual({ socks5: [2, 5, 4, 6, 1], http: ['403', '502', '502', '504', '503'] });
  expect(deniedReply('socks4', 'TARGET_REFUSED', '')).toEqual(hex('00 5b 0000 00000000'));
  expect([grantedReply('socks5'), grantedReply('socks4')]).toEqual([
    hex('05 00 00 01 00000000 0000'),
    hex('00 5a 0000 00000000'),
  ]);
  expect(deniedReply('http', 'TARGET_REFUSED', 'why').toString()).toMatch(/\r\nContent-Length: 4\r\n\r\nwhy\n$/);
});
