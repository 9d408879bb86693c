import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ask, refuses } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { UdpClient, UdpTarget } from '../support/relay-fixture.ts';
import { TcpTarget } from '../support/tcp-target.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';

const says = (text: string) => (socket: Socket) => void socket.resume().end(text);

test('a profile of relays alone comes up without a server, takes over, and shows like any other', async () => {
  await using cli = await tunnelCli();
  const first = await TcpTarget.start(says('first'));
  const { port: firstPort } = first;
  await using second = await TcpTarget.start(says('second'));
  await using names = await UdpTarget.start();
  await cli.home.profile(
    'gate',
    `forwards:
  - relay: localhost:auto
    to: [127.0.0.1:${firstPort}, 127.0.0.1:${second.port}]
    name: web
  - { relay: "127.0.0.1:auto", protocol: udp, to: "127.0.0.1:${names.endpoint.port}", name: dns, idle: 1s }
`,
  );

  const up = await cli.ok('up', 'gate');
  const [web, dns] = [await cli.port('gate'), await cli.port('gate', 1)];
  const before = await ask(web, 'hello');
  await first.close();
  const after = await ask(web, 'hello');
  using client = new UdpClient(dns);
  client.send('query');
  await eventually(() => client.heard[0] === 'query');
  const status = await eventually(async () => {
    const now = await cli.status('gate');
    return now.forwards.every(({ openConnections }) => openConnections === 0) ? now : undefined;
  });

  expect([before, after]).toEqual(['first', 'second']);
  expect(up.stdout).toMatch(
    new RegExp(`gate +localhost:${web} -> 127.0.0.1:${firstPort}, 127.0.0.1:${second.port} +up`),
  );
  expect(status).toMatchObject({ state: 'up', via: null, latencyMs: null, lastError: null });
  expect(status.forwards).toMatchObject([
    { name: 'web', kind: 'relay', state: 'up', totalConnections: 2, receivedBytes: 11, sentBytes: 10 },
    { name: 'dns', kind: 'relay', state: 'up', totalConnections: 1, receivedBytes: 5, sentBytes: 5 },
  ]);
  await cli.logged('gate', `Target 127.0.0.1:${firstPort} is skipped until it answers`);

  await cli.ok('down', 'gate');
  expect(await refuses(web)).toBe(true);
});

test('a port that is taken is 6, and says who holds it', async () => {
  await using cli = await tunnelCli();
  await using holder = await TcpTarget.start(says(''));
  await cli.home.profile('gate', `forwards:\n  - { relay: "127.0.0.1:${holder.port}", to: "127.0.0.1:1" }\n`);

  const { code, stderr } = await cli.run('up', 'gate');

  expect(code).toBe(6);
  expect(stderr).toContain(`(pid ${process.pid})`);
});

test('a relay beyond loopback says who can reach it', async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('gate', 'forwards:\n  - { relay: "0.0.0.0:auto", to: "127.0.0.1:1" }\n');

  const up = await cli.ok('up', 'gate');
  const status = await cli.ok('status', 'gate');
  const check = await cli.run('check', 'gate');
  const { forwards } = await cli.status('gate');

  const everybody = 'open to everybody who can reach this machine';
  expect(up.stdout).toContain(everybody);
  expect(status.stdout).toContain(`0.0.0.0:${/\d+$/.exec(forwards[0]?.bind ?? '')?.[0]} is ${everybody}`);
  expect(check.stdout).toContain(`0.0.0.0:0 is ${everybody}`);
  expect(forwards[0]?.gateway).toEqual({ machine: 'here', allow: null });
  await cli.logged('gate', 'has no `allow` list: everybody who can reach this machine can use it');
});

test('`check` asks every target of a UDP relay that says what to await', async () => {
  await using cli = await tunnelCli();
  await using well = await UdpTarget.start(() => Buffer.from('pong 1'));
  await using ill = await UdpTarget.start(() => Buffer.from('no'));
  const targets = [well, ill].map(({ endpoint }) => `127.0.0.1:${endpoint.port}`);
  const forward = `{ relay: "127.0.0.1:auto", protocol: udp, to: [${targets.map((one) => `"${one}"`).join(', ')}], name: game, `;
  await cli.home.profile('gate', `forwards:\n  - ${forward}expect: { send: "ping\\xFF", match: /^pong/ } }\n`);

  const { code, stdout } = await cli.run('check', 'gate', '--json');

  const { steps } = JSON.parse(stdout) as { steps: unknown };
  expect(code).toBe(1);
  expect(steps).toMatchObject([
    { step: 'bind', subject: 'game: 127.0.0.1:0', ok: true, found: 'free' },
    { step: 'answer', subject: `game: ${targets[0]}`, ok: true, found: 'pong 1' },
    { step: 'answer', subject: `game: ${targets[1]}`, ok: false, error: { code: 'SERVICE_UNHEALTHY' } },
  ]);
  // Asked again for each second without an answer: a busy machine may take one.
  expect([...new Set(well.heard.map((datagram) => datagram.toString('latin1')))]).toEqual(['ping\xff']);
});
