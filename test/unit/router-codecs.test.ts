import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressScope } from '../../src/model/address-scope.ts';
import { gatewayInProcRoute, gatewayInRouteGet, gatewayInRoutePrint } from '../../src/router/gateway-table.ts';
import { decodeNatPmp, encodeNatPmpAddress, encodeNatPmpMap } from '../../src/router/nat-pmp-codec.ts';
import { decodePcp, encodePcpAnnounce, encodePcpMap } from '../../src/router/pcp-codec.ts';
import { natPmpReason, pcpReason, upnpReason } from '../../src/router/router-refusal.ts';
import { descriptionUrl, readSoap, servicesIn, soapBody } from '../../src/router/upnp-codec.ts';
import { escapeXml, parseXml } from '../../src/router/xml-codec.ts';

const port = fc.integer({ min: 0, max: 65_535 });
const seconds = fc.nat({ max: 2 ** 32 - 1 });
const protocol = fc.constantFrom('tcp' as const, 'udp' as const);
const nonce = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes));
const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'));
const bytes = fc.uint8Array({ maxLength: 1_200 }).map((some) => Buffer.from(some));

/** What a router answers to a request for a mapping (RFC 6887 section 11.3): the request's own body with what it granted. */
function granted(request: Buffer, result: number, epochSeconds: number, host: string, external: number): Buffer {
  const response = Buffer.from(request);
  response.writeUInt8(0x81, 1);
  response.writeUInt8(result, 3);
  response.writeUInt32BE(epochSeconds, 8);
  response.fill(0, 12, 24);
  response.writeUInt16BE(external, 42);
  Buffer.from(host.split('.').map(Number)).copy(response, 56);
  return response;
}

describe('PCP', () => {
  test('a request for a mapping is the bytes of RFC 6887 section 11.1', () => {
    const message = encodePcpMap({
      client: '192.168.7.2',
      nonce: Buffer.from('000102030405060708090a0b', 'hex'),
      protocol: 'tcp',
      internalPort: 8080,
      externalPort: 80,
      lifetimeSeconds: 7200,
    });

    expect(message.toString('hex')).toBe(
      '0201000000001c20' +
        '00000000000000000000ffffc0a80702' +
        '000102030405060708090a0b' +
        '06000000' +
        '1f900050' +
        '00000000000000000000ffff00000000',
    );
    expect(encodePcpAnnounce('192.168.7.2').toString('hex')).toBe('020000000000000000000000000000000000ffffc0a80702');
  });

  test('what a router grants reads back as it was granted', () => {
    fc.assert(
      fc.property(
        nonce,
        protocol,
        port,
        port,
        seconds,
        seconds,
        address,
        (own, kind, inner, outer, life, epoch, host) => {
          const asked = { client: '10.0.0.2', nonce: own, protocol: kind, internalPort: inner, lifetimeSeconds: life };
          const request = encodePcpMap({ ...asked, externalPort: 0 });

          const response = decodePcp(granted(request, 0, epoch, host, outer));

          expect(response).toEqual({
            opcode: 'map',
            result: 0,
            lifetimeSeconds: life,
            epochSeconds: epoch,
            nonce: own,
            protocol: kind,
            internalPort: inner,
            externalPort: outer,
            externalHost: host,
          });
        },
      ),
    );
  });

  test('any bytes are read without harm, and a request or a cut response is no response', () => {
    const request = encodePcpMap({
      client: '10.0.0.2',
      nonce: Buffer.alloc(12),
      protocol: 'udp',
      internalPort: 1,
      externalPort: 1,
      lifetimeSeconds: 1,
    });
    const response = granted(request, 0, 1, '1.2.3.4', 1);
    expect(decodePcp(request)).toBeUndefined();
    for (let length = 4; length < response.length; length += 1)
      expect(decodePcp(response.subarray(0, length))).toBeUndefined();
    fc.assert(fc.property(bytes, (some) => void decodePcp(some)));
  });

  test('an answer of another version says which', () => {
    expect(decodePcp(Buffer.from('0080000100000000', 'hex'))).toEqual({ opcode: 'none', version: 0, result: 1 });
  });
});

describe('NAT-PMP', () => {
  test('its messages are the bytes of RFC 6886 sections 3.2 and 3.3', () => {
    const asked = { protocol: 'tcp', internalPort: 8080, externalPort: 80, lifetimeSeconds: 7200 } as const;
    expect(encodeNatPmpAddress().toString('hex')).toBe('0000');
    expect(encodeNatPmpMap(asked).toString('hex')).toBe('000200001f90005000001c20');
    expect(encodeNatPmpMap({ ...asked, protocol: 'udp' }).toString('hex')).toBe('000100001f90005000001c20');
  });

  test('what a router grants reads back as it was granted', () => {
    fc.assert(
      fc.property(protocol, port, port, seconds, seconds, (kind, inner, outer, life, epoch) => {
        const response = Buffer.alloc(16);
        response.writeUInt8(kind === 'tcp' ? 130 : 129, 1);
        response.writeUInt32BE(epoch, 4);
        response.writeUInt16BE(inner, 8);
        response.writeUInt16BE(outer, 10);
        response.writeUInt32BE(life, 12);
        const told = { protocol: kind, internalPort: inner, externalPort: outer, lifetimeSeconds: life };
        expect(decodeNatPmp(response)).toEqual({ opcode: 'map', result: 0, epochSeconds: epoch, ...told });
      }),
    );
  });

  test.each([
    ['00800000000000010c22384e', { opcode: 'address', result: 0, epochSeconds: 1, externalHost: '12.34.56.78' }],
    ['0082000200000001', { opcode: 'refused', result: 2, protocol: 'tcp' }],
    ['008000030000000100000000', { opcode: 'refused', result: 3, protocol: null }],
    ['00800000000000010c2238', undefined], // cut
    ['0280000000000001', undefined], // PCP
    ['0000000000000001', undefined], // a request
    ['00c0000000000001', undefined], // an opcode that nobody knows
  ])('%s is %j', (hex, expected) => {
    expect(decodeNatPmp(Buffer.from(hex, 'hex'))).toEqual(expected);
  });

  test('any bytes are read without harm', () => {
    fc.assert(fc.property(bytes, (some) => void decodeNatPmp(some)));
  });
});

test('each refusal of a router has one meaning, whatever its protocol calls it', () => {
  const meanings = {
    pcp: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 200].map((code) => `${code} ${pcpReason(code)}`),
    natPmp: [2, 3, 4, 5, 99].map((code) => `${code} ${natPmpReason(code)}`),
    upnp: [401, 402, 501, 602, 606, 718, 728, 729].map((code) => `${code} ${upnpReason(code)}`),
  };
  expect(meanings).toEqual({
    pcp: [
      ...['1 failed', '2 not-authorised', '3 failed', '4 unsupported', '5 unsupported', '6 failed', '7 no-address'],
      ...[
        '8 no-resources',
        '9 unsupported',
        '10 no-resources',
        '11 conflict',
        '12 nat-between',
        '13 failed',
        '200 failed',
      ],
    ],
    natPmp: ['2 not-authorised', '3 no-address', '4 no-resources', '5 unsupported', '99 failed'],
    upnp: [
      ...['401 unsupported', '402 failed', '501 failed', '602 unsupported', '606 not-authorised'],
      ...['718 conflict', '728 no-resources', '729 conflict'],
    ],
  });
});

test.each([
  ['12.34.56.78', 'public'],
  ['192.168.1.1', 'private'],
  ['10.0.0.1', 'private'],
  ['172.16.0.1', 'private'],
  ['172.32.0.1', 'public'],
  ['127.0.0.1', 'private'],
  ['169.254.1.1', 'private'],
  ['198.18.0.1', 'private'],
  ['100.63.255.255', 'public'],
  ['100.64.0.1', 'carrier'],
  ['100.127.255.255', 'carrier'],
  ['100.128.0.0', 'public'],
  ['192.0.0.2', 'carrier'],
  ['0.0.0.0', 'private'],
  ['255.255.255.255', 'private'],
  ['', 'private'],
  ['2001:db8::1', 'private'],
])('an outer address %s is %s', (host, scope) => {
  expect(addressScope(host)).toBe(scope);
});

describe('the default gateway', () => {
  test('of Linux is the one with the smallest metric that is up and a gateway', () => {
    const rows = [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
      'wlan0\t00000000\t0107A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
      'eth0\t00000000\t0108A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
      'tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0',
      'eth0\t0008A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0',
      '',
    ];
    expect(gatewayInProcRoute(rows.join('\n'))).toBe('192.168.8.1');
    expect(gatewayInProcRoute(rows.slice(3).join('\n'))).toBeUndefined();
  });
  test('of macOS is read from route get', () => {
    expect(gatewayInRouteGet('   route to: default\n    gateway: 192.168.1.1\n  interface: en0\n')).toBe('192.168.1.1');
    expect(gatewayInRouteGet('   route to: default\n    gateway: fe80::1%en0\n')).toBeUndefined();
  });
  test('of Windows is read from route print, in any language', () => {
    const table = [
      'Netzwerkziel    Netzwerkmaske          Gateway    Schnittstelle Metrik',
      '          0.0.0.0          0.0.0.0      192.168.2.1     192.168.2.50     55',
      '          0.0.0.0          0.0.0.0      192.168.1.1     192.168.1.50     25',
      '          0.0.0.0          0.0.0.0   Auf Verbindung         10.8.0.2      5',
    ];
    expect(gatewayInRoutePrint(table.join('\r\n'))).toBe('192.168.1.1');
  });
});

describe('XML of a router', () => {
  test('any text comes back from an element as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(parseXml(`<a><b>${escapeXml(text)}</b></a>`)?.children[0]?.text).toBe(text.trim());
      }),
    );
  });
  test('any text is read without harm, and soon', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseXml(text)));
    for (const part of ['<a>', '<a', '<a b="', '<!--', '<![CDATA[', '&', '</a>', '<a b="c" ', ' '.repeat(64)]) {
      expect(parseXml(part.repeat(200_000 / part.length))).toBeUndefined();
    }
  });
  test.each([
    ['<a/>', true],
    ['\uFEFF<?xml version="1.0"?>\r\n<!-- x --><n:a b="1" c=\'2\'>t</n:a>\n', true],
    ['<a><![CDATA[<b>]]></a>', true],
    ['', false],
    ['text', false],
    ['<a></b>', false],
    ['<a>', false],
    ['</a>', false],
    ['<a/><b/>', false],
    ['<!DOCTYPE a [<!ENTITY e "eeee">]><a>&e;</a>', false],
    [`${'<a>'.repeat(40)}${'</a>'.repeat(40)}`, false],
    [`<r>${'<a/>'.repeat(5_000)}</r>`, false],
  ])('%j is read: %s', (text, readable) => {
    expect(parseXml(text) !== undefined).toBe(readable);
  });
});

describe('UPnP', () => {
  const GATEWAY = '192.168.7.1';
  const answer = (location: string): Buffer =>
    Buffer.from(`HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nLocation: ${location}\r\nST: x\r\n\r\n`);

  test.each([
    ['http://192.168.7.1:5000/rootDesc.xml', 'http://192.168.7.1:5000/rootDesc.xml'],
    ['http://192.168.7.9:5000/rootDesc.xml', undefined],
    ['https://192.168.7.1/rootDesc.xml', undefined],
    ['http://192.168.7.1@evil.example:80/', undefined],
    ['http://evil.example/192.168.7.1', undefined],
    ['file:///etc/passwd', undefined],
    ['/rootDesc.xml', undefined],
  ])('a description at %s is asked for at %s', (location, url) => {
    expect(descriptionUrl(answer(location), GATEWAY)?.href).toBe(url);
  });

  test('the service of the second version is preferred, and one that is elsewhere is passed over', () => {
    const service = (type: string, control: string): string =>
      `<service><serviceType>urn:schemas-upnp-org:service:${type}</serviceType><controlURL>${control}</controlURL></service>`;
    const text = `<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceList><device><serviceList>${[
      service('WANPPPConnection:1', '/ppp'),
      service('WANIPConnection:2', 'http://192.168.7.9/ctl'),
      service('WANIPConnection:1', '/one'),
      service('Layer3Forwarding:1', '/l3'),
      service('WANIPConnection:2', 'two'),
    ].join('')}</serviceList></device></deviceList></device></root>`;
    const found = servicesIn(text, new URL('http://192.168.7.1:5000/a/rootDesc.xml'), GATEWAY);
    expect(found.map(({ type, controlUrl }) => `${type.slice(-17)} ${controlUrl.href}`)).toEqual([
      'WANIPConnection:2 http://192.168.7.1:5000/a/two',
      'WANIPConnection:1 http://192.168.7.1:5000/one',
      'ANPPPConnection:1 http://192.168.7.1:5000/ppp',
    ]);
  });

  test('a call says its values, and whatever is in them stays a value', () => {
    const body = soapBody('urn:schemas-upnp-org:service:WANIPConnection:1', 'Add', [
      ['A', '</A><B>'],
      ['C', 80],
    ]);
    expect(parseXml(body)?.children[0]?.children[0]).toEqual({
      name: 'Add',
      text: '',
      children: [
        { name: 'A', text: '</A><B>', children: [] },
        { name: 'C', text: '80', children: [] },
      ],
    });
  });

  test.each([
    [
      '<s:Envelope><s:Body><u:AddResponse><P>81</P></u:AddResponse></s:Body></s:Envelope>',
      { kind: 'answer', values: new Map([['P', '81']]) },
    ],
    [
      '<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>718</errorCode><errorDescription>taken</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>',
      { kind: 'fault', code: 718, description: 'taken' },
    ],
    ['<s:Envelope><s:Body><u:OtherResponse/></s:Body></s:Envelope>', undefined],
    [
      '<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>-1</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>',
      undefined,
    ],
    ['<html><body>Not found</body></html>', undefined],
    ['not found', undefined],
  ])('the answer %s', (text, expected) => {
    expect(readSoap(text, 'Add')).toEqual(expected);
  });
});
