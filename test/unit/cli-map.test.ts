import { expect, test } from 'vitest';
import { mapRequest, waysOf } from '../../src/cli/map/map-request.ts';
import { mapCells, mapFails, mapLines } from '../../src/cli/render/mapping.ts';
import { routerLines } from '../../src/cli/render/router.ts';
import { PLAIN } from '../../src/cli/theme.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { ForwardStatus, MapStatus } from '../../src/model/status.ts';

test.each([
  ['8080', 'tcp', 8080, 8080],
  ['80:8080', 'tcp', 80, 8080],
  ['80:8080/tcp', 'tcp', 80, 8080],
  ['5000/udp', 'udp', 5000, 5000],
])('%s is %s, port %i of the router to port %i here', (word, protocol, externalPort, internalPort) => {
  expect(mapRequest(word)).toMatchObject({ protocol, externalPort, internalPort, internalHost: null });
});

test.each(['', '0', '0:80', '80:0', '65536', '80:', ':80', 'a', '80/sctp', '80:81:82', '-1', '1.5'])(
  '%j is no port to map',
  (word) => {
    expect(() => mapRequest(word)).toThrow(TunnelError);
  },
);

test('a protocol is named in any case, and a mistyped one is told', () => {
  expect([waysOf('NAT-pmp'), waysOf(undefined)]).toEqual([['NAT-PMP'], ['PCP', 'NAT-PMP', 'UPnP']]);
  expect(() => waysOf('upmp')).toThrow(/did you mean `upnp`/);
});

const MAP: MapStatus = {
  state: 'mapped',
  port: 80,
  protocol: 'tcp',
  external: '12.34.56.78:81',
  way: 'PCP',
  router: '192.168.7.1',
  expiresAt: null,
  lastError: null,
};
const forward = (map: Partial<MapStatus>): ForwardStatus => ({
  name: 'web',
  kind: 'relay',
  bind: '0.0.0.0:8080',
  target: 'a:80',
  state: 'up',
  health: null,
  openConnections: 0,
  totalConnections: 0,
  receivedBytes: 0,
  sentBytes: 0,
  lastError: null,
  map: { ...MAP, ...map },
});
const REFUSED = { code: 'ROUTER_REFUSED', message: 'Cannot map: no\x1b[2J', hint: 'Do this.', at: '' } as const;

test.each<[Partial<MapStatus>, string, readonly string[], boolean]>([
  [
    {},
    'mapped: 12.34.56.78:81 (TCP)',
    ['  12.34.56.78:81 (TCP) of the router 192.168.7.1 leads to 0.0.0.0:8080, by PCP'],
    false,
  ],
  [
    { state: 'asking', external: null },
    'asks the router for port 80 (TCP)',
    ['  Asking the router for port 80 (TCP)'],
    false,
  ],
  [
    { state: 'failed', external: null, lastError: REFUSED },
    'not mapped: port 80 (TCP)',
    ['  Cannot map: no\\u001b[2J', '    Do this.'],
    true,
  ],
  [
    { state: 'double-nat', lastError: REFUSED },
    'mapped in vain: 12.34.56.78:81 (TCP)',
    ['  Cannot map: no\\u001b[2J', '    Do this.'],
    true,
  ],
])('a mapping %j is shown', (map, cell, lines, fails) => {
  const shown = forward(map);
  expect(mapCells(shown, PLAIN).map(({ text }) => text)).toEqual([cell]);
  expect(mapLines(shown, PLAIN)).toEqual(lines);
  expect(mapFails(shown)).toBe(fails);
});

test('a router without a list says so, and one with a private address what to do', () => {
  const error = new TunnelError('ROUTER_NOT_PUBLIC', 'Cannot be reached', { hint: 'Do that.' });
  const view = { router: '10.0.0.1', local: '10.0.0.2', external: '10.1.1.1', ways: [], mappings: null, error };
  expect(routerLines(view, PLAIN).slice(1)).toEqual([
    'Cannot be reached',
    '  Do that.',
    'It shows no list of its mappings (UPnP alone has one).',
  ]);
});
