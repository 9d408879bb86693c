import { expect, test } from 'vitest';
import { parseEndpoint } from '../../src/model/endpoint.ts';
import { doorsOf, exposureOf, exposureText } from '../../src/model/exposure.ts';
import type { ForwardKind } from '../../src/model/status.ts';

test.each<[ForwardKind, string, readonly string[] | null, string | undefined]>([
  ['local', 'localhost:1', null, undefined],
  ['local', '127.8.9.1:1', null, undefined],
  ['local', '[::1]:1', null, undefined],
  ['relay', 'unix:/x', null, undefined],
  ['relay', '0.0.0.0:1', null, 'open to everybody who can reach this machine'],
  ['local', '*:1', null, 'open to everybody who can reach this machine'],
  ['socks', '192.168.0.1:1', ['192.168.0.0/16', 'fd00::/8'], 'open to 192.168.0.0/16, fd00::/8'],
  ['relay', '[::]:1', [], 'open to nobody: its `allow` list is empty'],
  ['remote', '0.0.0.0:1', null, 'open to everybody who can reach the server'],
])('%s %s with %j: %s', (kind, bind, allow, text) => {
  const endpoint = parseEndpoint(bind);
  if (endpoint === undefined) throw new Error(bind);

  const exposure = exposureOf({ kind, bind: endpoint, allow });

  expect(exposure === undefined ? undefined : exposureText(exposure)).toBe(text);
});

test('a trigger has a door for each return port that is reached from beyond the server, open while it is used', () => {
  const [trigger, inside, outside] = ['localhost:5060', 'localhost:7077', '0.0.0.0:7078'].map((text) =>
    parseEndpoint(text),
  );
  if (trigger === undefined || inside === undefined || outside === undefined) throw new Error('No endpoints');
  const opens = [{ bind: inside }, { bind: outside }, { bind: outside, allow: ['203.0.113.0/24'] }];

  const doors = doorsOf({ kind: 'trigger', bind: trigger, opens });

  expect(doors.map(({ bind, exposure }) => [bind, exposureText(exposure)])).toEqual([
    [outside, 'open to everybody who can reach the server, while the trigger is in use'],
    [outside, 'open to 203.0.113.0/24, while the trigger is in use'],
  ]);
});

test('a port of the router is part of who can reach a forward, by the protocol of the forward', () => {
  const bind = { kind: 'tcp', host: '0.0.0.0', port: 5353 } as const;

  const exposure = exposureOf({ kind: 'relay', bind, protocol: 'udp', map: { port: 53 } });

  expect(exposure).toEqual({ machine: 'here', allow: null, map: { port: 53, protocol: 'udp' } });
  expect(exposure && exposureText(exposure)).toBe(
    'open to everybody who can reach this machine, from the Internet too by port 53 (UDP) of the router',
  );
});
