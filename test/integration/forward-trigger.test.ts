import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createForward } from '../../src/forward/forward.ts';
import type { Forward } from '../../src/forward/forward-context.ts';
import type { TcpEndpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { TriggerForwardPlan } from '../../src/model/plan.ts';
import type { ConnectionRecord } from '../../src/model/status.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { keptPassword } from '../support/forward-fixture.ts';
import { ListeningCarrier } from '../support/listening-carrier.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const [FIRST, SECOND] = ['127.0.0.2', '127.0.0.3'];
const IDLE_MS = 300_000;
/** How long bytes may go unseen. */
const LOOK_MS = 1_000;
const FORWARD_REFUSED = new TunnelError(
  'FORWARD_REFUSED',
  'Cannot listen on 0.0.0.0:7078 of alice: the server refused',
);

let clock: FakeClock;
let carrier: ListeningCarrier;
let service: TcpTarget;
/** What the first client listens with: it says who it is. */
let phone: TcpTarget;
let forward: Forward;
let notes: string[];
let records: ConnectionRecord[];
let sockets: Socket[];

beforeEach(async () => {
  [clock, carrier, notes, records, sockets] = [new FakeClock(), new ListeningCarrier(), [], [], []];
  service = await TcpTarget.start(echo);
  phone = await TcpTarget.start(greets('first phone\n'), FIRST);
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await forward.close(0);
  await service.close();
  await phone.close();
});

async function aTrigger(plan: Partial<TriggerForwardPlan> = {}, limits = { connections: 100, perClient: 100 }) {
  const anyPort: TcpEndpoint = { kind: 'tcp', host: '127.0.0.1', port: 0 };
  forward = createForward(
    {
      kind: 'trigger',
      name: 'sip',
      bind: anyPort,
      target: service.endpoint,
      opens: [{ bind: anyPort, clientPort: phone.port, allow: null }],
      idleMs: IDLE_MS,
      allow: null,
      expect: null,
      demand: null,
      clients: 'exclusive',
      ...plan,
    },
    {
      carrier,
      clock,
      limits,
      whileDown: { hold: true, holdMs: 15_000, queue: 256 },
      probe: { everyMs: 30_000, timeoutMs: 5_000 },
      proxyPassword: (user) => keptPassword(user, undefined),
      onBound: () => undefined,
      onChange: () => undefined,
      onConnection: (record) => records.push(record),
      onNote: (_level, message) => notes.push(message),
    },
  );
  await forward.start();
}

async function use(address = FIRST): Promise<Socket> {
  const socket = await client(Number(/\d+$/.exec(forward.facts.bind)?.[0]), '127.0.0.1', address);
  sockets.push(socket);
  return socket;
}

/** A phone: says who it is, then echoes. */
const greets = (words: string) => (socket: Socket) => {
  socket.write(words);
  echo(socket);
};

/** A client who has used the trigger, and whose bytes have been seen: the idle time counts from here. */
async function registered(address = FIRST): Promise<Socket> {
  const socket = await use(address);
  await says(socket, 'register');
  await clock.advance(LOOK_MS);
  return socket;
}

/** Sends, and waits for the echo. */
async function says(socket: Socket, words: string): Promise<void> {
  socket.write(words);
  await once(socket, 'data');
}

/** A use that is not served: it may well be reset before it knows that it was accepted. */
async function refusedUse(): Promise<void> {
  const socket = await use().catch(() => undefined);
  if (socket !== undefined) expect((await transcript(socket)).text).toBe('');
}

/** Calls the first open return port of the "server". */
function call(): Socket {
  const socket = connect({ port: carrier.ports[0] ?? 0, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

async function hears(socket: Socket): Promise<string> {
  const [words] = (await once(socket, 'data')) as [Buffer];
  return words.toString();
}

describe('a trigger', () => {
  test('opens nothing before it is used; then leads back to the client who used it, and tells what it did', async () => {
    await aTrigger();
    expect([carrier.listens, forward.facts]).toMatchObject([
      0,
      { kind: 'trigger', listening: true, demand: { open: false, closesAtMs: null } },
    ]);

    await says(await use(), 'register');
    expect([carrier.ports.length, forward.facts.demand]).toEqual([
      1,
      { open: true, closesAtMs: clock.wallMs() + IDLE_MS },
    ]);
    const caller = call();
    expect(await hears(caller)).toBe('first phone\n');

    expect(forward.facts).toMatchObject({ openConnections: 2, totalConnections: 2, receivedBytes: 8, sentBytes: 20 });
    caller.end();
    await eventually(() => records.length === 1);
    expect(records[0]).toMatchObject({
      forward: 'sip',
      client: `${FIRST}:${phone.port}`,
      receivedBytes: 0,
      sentBytes: 12,
      end: 'done',
    });
    expect(notes).toEqual([
      expect.stringMatching(/^Opened 127\.0\.0\.1:\d+ -> 127\.0\.0\.2:\d+ for 127\.0\.0\.2, until 5m without traffic$/),
    ]);
  });

  test('closes its ports after the idle time without traffic, and cuts what is still open there', async () => {
    await aTrigger();
    await registered();
    const caller = call();
    await hears(caller);
    await clock.advance(LOOK_MS);
    const end = transcript(caller);
    await clock.advance(IDLE_MS - 1);
    expect(carrier.ports).toHaveLength(1);

    await clock.advance(1);

    expect([carrier.ports, carrier.needs, forward.facts.demand]).toEqual([[], 1, { open: true, closesAtMs: null }]);
    expect((await end).end).toBe('ECONNRESET');
    await eventually(() => forward.facts.openConnections === 1);
    expect(notes.at(-1)).toBe(`Closed the return ports for ${FIRST} after 5m without traffic`);
  });

  test.each<readonly [string, () => Promise<void>]>([
    ['a new connection on the trigger', async () => says(await use(), 'again')],
    [
      'bytes on the trigger',
      async () => Promise.all(sockets.map((socket) => says(socket, 'more'))).then(() => undefined),
    ],
    ['bytes of a return connection', async () => void (await hears(call()))],
  ])('is renewed by %s', async (_name, traffic) => {
    await aTrigger();
    await registered();
    await clock.advance(IDLE_MS - 10_000);
    await traffic();
    await clock.advance(20_000);
    expect(carrier.ports).toHaveLength(1);
  });

  test('is not renewed by a return connection without a byte', async () => {
    const silent = await TcpTarget.start(() => undefined, FIRST);
    await aTrigger({
      opens: [{ bind: { kind: 'tcp', host: '127.0.0.1', port: 0 }, clientPort: silent.port, allow: null }],
    });
    await registered();
    await clock.advance(IDLE_MS - 10_000);
    const end = transcript(call());
    await eventually(() => silent.sockets.size === 1);

    await clock.advance(10_000);

    expect(carrier.ports).toEqual([]);
    expect((await end).text).toBe('');
    await silent.close();
  });

  test('opens anew for bytes on a trigger connection that outlived its ports', async () => {
    await aTrigger();
    const phoneLine = await use();
    await says(phoneLine, 'register');
    await clock.advance(IDLE_MS + 1_000);
    expect(carrier.ports).toEqual([]);

    await says(phoneLine, 'still here');
    await clock.advance(1_000);

    await eventually(() => carrier.ports.length === 1);
    expect(await hears(call())).toBe('first phone\n');
  });

  test('leads nobody to a second client: refused while the ports are open, served when they are closed', async () => {
    await aTrigger();
    const first = await registered();
    first.destroy();
    await eventually(() => forward.facts.openConnections === 0);

    expect(await transcript(await use(SECOND))).toMatchObject({ text: '' });
    expect(notes.at(-1)).toContain(`${FIRST} uses it, and only one may at a time (clients: exclusive)`);
    await clock.advance(IDLE_MS);
    await says(await use(SECOND), 'register');

    expect(notes.at(-1)).toContain(`for ${SECOND}`);
  });

  test('takeover: the ports lead to the second client at once, and the calls of the first are cut', async () => {
    const other = await TcpTarget.start(greets('second phone\n'), SECOND, phone.port);
    await aTrigger({ clients: 'takeover' });
    await says(await use(), 'register');
    const caller = call();
    await hears(caller);

    const cut = transcript(caller);
    await says(await use(SECOND), 'register');

    expect((await cut).end).toBe('ECONNRESET');
    expect(carrier.ports).toHaveLength(1);
    expect(await hears(call())).toBe('second phone\n');
    await other.close();
  });

  test('queue: the second client waits until the ports of the first are closed', async () => {
    await aTrigger({ clients: 'queue' });
    const first = await registered();
    first.end();
    const second = await use(SECOND);
    second.write('patience');
    await eventually(() => forward.facts.openConnections === 1);
    await clock.advance(IDLE_MS - LOOK_MS - 1);
    expect(service.accepted).toBe(1);

    await clock.advance(LOOK_MS + 1);

    expect(await hears(second)).toBe('patience');
    expect(notes.at(-1)).toContain(`for ${SECOND}`);
  });

  test('refused by the server it serves nobody half: the client is closed, status has the reason, the next use asks again', async () => {
    await aTrigger();
    carrier.refuseListening(FORWARD_REFUSED);

    await refusedUse();
    expect([forward.facts, service.accepted]).toMatchObject([{ listening: false, error: FORWARD_REFUSED }, 0]);
    expect(notes).toContain(FORWARD_REFUSED.message);

    carrier.refuseListening(undefined);
    await says(await use(), 'register');
    expect(forward.facts).toMatchObject({ listening: true, error: null });
  });

  test('a client that listens no more refuses its calls, with a word in the log', async () => {
    await aTrigger({ opens: [{ bind: { kind: 'tcp', host: '127.0.0.1', port: 0 }, clientPort: 1, allow: null }] });
    await says(await use(), 'register');

    expect((await transcript(call())).text).toBe('');

    await eventually(() => notes.length > 1);
    expect(notes.at(-1)).toMatch(
      /^Cannot lead a connection of 127\.0\.0\.1:\d+ back: Cannot connect to 127\.0\.0\.2:1: /,
    );
    expect(forward.facts.openConnections).toBe(1);
  });

  test('lets call whom `allow` of the return port names, and closes everybody else', async () => {
    const opens = { bind: { kind: 'tcp', host: '127.0.0.1', port: 0 }, clientPort: phone.port } as const;
    await aTrigger({ opens: [{ ...opens, allow: ['127.0.0.9/32'] }] });
    await says(await use(), 'register');

    expect((await transcript(call())).text).toBe('');
    expect(await hears(await client(carrier.ports[0] ?? 0, '127.0.0.1', '127.0.0.9'))).toBe('first phone\n');

    expect(notes.at(-1)).toBe('Closed a return connection from 127.0.0.1: the address is not in `allow`');
  });

  test('is probed without opening its ports or taking a turn', async () => {
    await aTrigger({ expect: { kind: 'tcp' } });
    await eventually(() => forward.facts.health === 'ok');

    expect([carrier.listens, forward.facts]).toMatchObject([0, { openConnections: 0, demand: { open: false } }]);
    await says(await use(SECOND), 'register');
  });

  test('takes no more return connections than the limit', async () => {
    await aTrigger({}, { connections: 2, perClient: 2 });
    await says(await use(), 'register');
    const calls = [call(), call()];
    await Promise.all(calls.map(hears));

    expect((await transcript(call())).text).toBe('');

    expect(notes.at(-1)).toContain('2 connections are open (limits.connections)');
  });

  test('stopped, it closes its ports at once and lets calls end within the drain', async () => {
    await aTrigger();
    const line = await use();
    await says(line, 'register');
    const caller = call();
    await hears(caller);

    const stopped = forward.close(10_000);
    await eventually(() => carrier.ports.length === 0);
    await says(caller, 'good bye');
    caller.end();
    line.end();
    await stopped;

    expect([carrier.needs, clock.pending, forward.facts.openConnections]).toEqual([0, 0, 0]);
  });

  test('does not count the time that the server takes to open the ports as idle', async () => {
    await aTrigger();
    carrier.holdListening = true;
    const line = await use();
    line.write('register');
    await eventually(() => carrier.listens === 1);
    await clock.advance(14_000);
    carrier.grantListening();

    expect(await hears(line)).toBe('register');
    expect(forward.facts.demand).toEqual({ open: true, closesAtMs: clock.wallMs() + IDLE_MS });
  });

  test('a client that gives up before the server has answered keeps its turn no longer than the idle time', async () => {
    await aTrigger();
    carrier.holdListening = true;
    const line = await use();
    await eventually(() => carrier.listens === 1);
    line.resetAndDestroy();
    await eventually(() => forward.facts.openConnections === 0);
    await clock.advance(IDLE_MS);

    expect(forward.facts.demand).toEqual({ open: false, closesAtMs: null });
    carrier.grantListening();
    await says(await use(SECOND), 'register');
  });

  test('stopped while the server is still asked, it lets the client go', async () => {
    await aTrigger();
    carrier.holdListening = true;
    const end = transcript(await use());
    await eventually(() => carrier.listens === 1);

    await forward.close(10_000);

    expect((await end).text).toBe('');
    expect([carrier.needs, clock.pending]).toEqual([0, 0]);
  });

  test('on demand it needs a link while it is used or its ports are open, and no longer', async () => {
    await aTrigger({ demand: { idleMs: 0, lifetimeMs: null } });
    expect(carrier.needs).toBe(0);
    const line = await use();
    await says(line, 'register');
    line.end();
    await eventually(() => forward.facts.openConnections === 0);
    expect(carrier.needs).toBe(1);

    await clock.advance(IDLE_MS + 1_000);

    expect([carrier.needs, forward.facts.demand, clock.pending]).toEqual([0, { open: false, closesAtMs: null }, 0]);
  });
});
