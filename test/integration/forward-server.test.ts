import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { ForwardContext } from '../../src/forward/forward-context.ts';
import type { ClientRule, RemoteForwardPlan, RemoteSocksForwardPlan } from '../../src/model/plan.ts';
import { Secret } from '../../src/model/secret.ts';
import { eventually, observes } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ANY_PORT, aSocksPlan, forwardOf, keptPassword, type ForwardFixture } from '../support/forward-fixture.ts';
import { ListeningCarrier } from '../support/listening-carrier.ts';
import { stalled } from '../support/stalled.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const [FIRST, SECOND, THIRD] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
const HOLD_MS = 15_000;

type Wishes = Partial<ForwardContext> & { readonly plan?: Partial<RemoteForwardPlan> };

/** A remote forward whose "server" is this process. The caller disposes of it. */
async function aRemote(target: TcpTarget, { plan = {}, ...context }: Wishes = {}): Promise<ForwardFixture> {
  const common = { name: 'back', bind: ANY_PORT, allow: null, expect: null, demand: null, clients: 'many' as const };
  return listening({ kind: 'remote', ...common, target: target.endpoint, ...plan }, context);
}

async function listening(plan: RemoteForwardPlan | RemoteSocksForwardPlan, context: Partial<ForwardContext>) {
  const it = forwardOf(plan, { ...context, carrier: new ListeningCarrier() });
  await it.forward.start();
  await eventually(() => it.forward.facts.listening);
  return it;
}

const from = (it: ForwardFixture, address: string): Promise<Socket> => client(it.port, '127.0.0.1', address);

async function echoed(socket: Socket, words: string): Promise<void> {
  socket.write(words);
  const [back] = (await once(socket, 'data')) as [Buffer];
  expect(back.toString()).toBe(words);
}

/** One who is turned away may be reset before it knows that it was accepted. */
async function turnedAway(it: ForwardFixture, address: string): Promise<void> {
  const socket = await from(it, address).catch(() => undefined);
  if (socket !== undefined) expect((await transcript(socket)).text).toBe('');
}

const messages = (it: ForwardFixture): readonly string[] => it.notes.map(({ message }) => message);

describe('a listener on the server lets in', () => {
  test('the addresses in `allow`, and nobody else', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aRemote(target, { plan: { allow: [`${FIRST}/32`, 'fd00::/8'] } });

    await turnedAway(it, SECOND);
    await echoed(await from(it, FIRST), 'hello');

    expect(messages(it)).toEqual([
      `Closed a connection from ${SECOND} to 127.0.0.1:${it.port}: the address is not in \`allow\``,
    ]);
    expect(it.forward.facts).toMatchObject({ openConnections: 1, totalConnections: 2 });
    expect(target.accepted).toBe(1);
  });

  test('so many connections of one address, and so many in all', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aRemote(target, { limits: { connections: 2, perClient: 1 } });
    const first = await from(it, FIRST);
    await echoed(first, 'first');

    await turnedAway(it, FIRST);
    await echoed(await from(it, SECOND), 'second');
    await turnedAway(it, THIRD);
    first.destroy();
    await eventually(() => it.forward.facts.openConnections === 1);
    await echoed(await from(it, THIRD), 'third');

    expect(messages(it).map((text) => text.replace(/^.*: /, ''))).toEqual([
      '1 are open from that address (limits.perClient)',
      '2 connections are open (limits.connections)',
    ]);
    expect(it.notes.map(({ code }) => code)).toEqual(['LIMIT_REACHED', 'LIMIT_REACHED']);
  });
});

describe('a listener on the server for one client address at a time', () => {
  async function inUse(target: TcpTarget, clients: ClientRule, context: Partial<ForwardContext> = {}) {
    const it = await aRemote(target, { ...context, plan: { clients } });
    const first = await from(it, FIRST);
    await echoed(first, 'first');
    return { it, first };
  }

  test('exclusive: refuses a second one, says who uses it, and serves it later', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'exclusive');
    await using _ = it;

    await turnedAway(it, SECOND);
    first.destroy();
    await eventually(() => it.forward.facts.openConnections === 0);

    await echoed(await from(it, SECOND), 'second');
    expect(messages(it)).toEqual([
      `Closed a connection from ${SECOND} to 127.0.0.1:${it.port}: ${FIRST} uses it, and only one may at a time (clients: exclusive)`,
    ]);
  });

  test('takeover: cuts the first and serves the second', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'takeover');
    await using _ = it;
    const cut = transcript(first);

    await echoed(await from(it, SECOND), 'second');

    expect((await cut).end).toBe('ECONNRESET');
    await eventually(() => it.records.length === 1);
    expect(it.records[0]).toMatchObject({ end: 'STOPPED', reason: expect.stringContaining('takeover') as string });
  });

  test('queue: the second waits for the first to go, longer than a connection is held, and loses no byte', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const { it, first } = await inUse(target, 'queue', { clock });
    await using _ = it;
    const second = await from(it, SECOND);
    second.write('patience');
    await eventually(() => it.forward.facts.openConnections === 2);
    await clock.advance(2 * HOLD_MS);

    first.destroy();

    const [back] = (await once(second, 'data')) as [Buffer];
    expect(back.toString()).toBe('patience');
    expect(it.notes).toEqual([]);
  });

  test('queue: one who leaves while it waits is forgotten, and its target hears nothing of it', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'queue');
    await using _ = it;
    const second = await from(it, SECOND);
    await eventually(() => it.forward.facts.openConnections === 2);

    second.end();
    await eventually(() => it.forward.facts.openConnections === 1);
    first.destroy();
    await eventually(() => it.forward.facts.openConnections === 0);

    expect([target.accepted, it.notes]).toEqual([1, []]);
  });

  test('queue: stopped, it keeps nobody waiting', async () => {
    await using target = await TcpTarget.start(echo);
    const { it, first } = await inUse(target, 'queue');
    const waiting = transcript(await from(it, SECOND));
    await eventually(() => it.forward.facts.openConnections === 2);

    const stopped = it.forward.close(60_000);

    expect((await waiting).text).toBe('');
    first.end();
    await stopped;
    expect(it.carrier.needs).toBe(0);
  });
});

describe('a connection that the server accepted', () => {
  test('ends by itself within the drain, and is cut after it', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const it = await aRemote(target, { clock });
    const [quick, slow] = [await from(it, FIRST), await from(it, SECOND)];
    await echoed(quick, 'quick');
    await echoed(slow, 'slow');

    const stopped = it.forward.close(10_000);
    await eventually(() => (it.carrier as ListeningCarrier).ports.length === 0);
    await echoed(quick, 'good bye');
    quick.end();
    await eventually(() => it.records.length === 1);
    const cut = transcript(slow);
    await clock.advance(10_000);
    await stopped;

    expect((await cut).end).toBe('ECONNRESET');
    expect(it.records.map(({ end }) => end)).toEqual(['done', 'STOPPED']);
    expect([clock.pending, it.carrier.needs]).toEqual([0, 0]);
  });

  test('holds its target back while its client does not read', { timeout: 30_000 }, async () => {
    const mib = Buffer.alloc(1024 * 1024);
    let sent = 0;
    await using target = await TcpTarget.start((socket) => {
      const more = (): void => {
        while (sent < 128 && socket.write(mib)) sent += 1;
        if (sent < 128) socket.once('drain', () => ((sent += 1), more()));
        else socket.end();
      };
      more();
    });
    await using it = await aRemote(target);
    const socket = await from(it, FIRST);

    await observes(300, () => sent > 48, 'more than the buffers on the way take');
    let received = 0;
    socket.on('data', (chunk: Buffer) => (received += chunk.length));
    await once(socket, 'end');
    socket.destroy();

    expect(received).toBe(128 * mib.length);
  });

  test('half-closed by its client, still brings the answer', async () => {
    await using target = await TcpTarget.start((socket) => {
      let heard = '';
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      socket.on('end', () => socket.end(`heard ${heard}`));
    });
    await using it = await aRemote(target);
    const socket = await from(it, FIRST);

    socket.end('everything');

    expect(await transcript(socket)).toEqual({ text: 'heard everything', end: 'FIN' });
  });

  test('is refused when its target does not answer in time', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const { port } = await stalled('127.0.0.1');
    await using it = await aRemote(target, { clock, plan: { target: { kind: 'tcp', host: '127.0.0.1', port } } });
    const ended = transcript(await from(it, FIRST));
    await eventually(() => it.forward.facts.openConnections === 1);

    await clock.advance(HOLD_MS);

    expect((await ended).text).toBe('');
    await eventually(() => it.notes.length === 1);
    expect(it.notes[0]).toMatchObject({
      code: 'CONNECT_TIMEOUT',
      message: `Cannot connect to 127.0.0.1:${port}: no answer within 15 s`,
    });
  });
});

describe('a proxy on the server', () => {
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

  /** RFC 1928 section 3 and RFC 1929: asks for the method "user name and password", and gives them. */
  async function logIn(socket: Socket, password: string): Promise<string> {
    socket.on('readable', () => undefined);
    socket.write(hex('05 01 02'));
    expect(await read(socket, 2)).toBe('0502');
    const [user, word] = [Buffer.from('alice'), Buffer.from(password)];
    socket.write(Buffer.concat([hex('01'), Buffer.from([user.length]), user, Buffer.from([word.length]), word]));
    return read(socket, 2);
  }

  async function read(socket: Socket, length: number): Promise<string> {
    await eventually(() => socket.readableLength >= length, { what: `${length} bytes` });
    return (socket.read(length) as Buffer).toString('hex');
  }

  test('asks its clients for the password that is kept, and serves nobody without', async () => {
    await using target = await TcpTarget.start(echo);
    const proxyPassword = (user: string) => keptPassword(user, new Secret('open sesame'));
    const plan = { ...aSocksPlan({ auth: 'alice' }), kind: 'remote-socks' as const, permit: null };
    await using it = await listening(plan, { proxyPassword });
    const [right, wrong, none] = [await from(it, FIRST), await from(it, SECOND), await from(it, THIRD)];

    expect(await logIn(right, 'open sesame')).toBe('0100');
    right.write(Buffer.concat([hex('05 01 00 01 7f000001'), Buffer.from([target.port >> 8, target.port & 255])]));
    expect(await read(right, 10)).toMatch(/^0500/);
    right.write('through');
    expect(await read(right, 7)).toBe(Buffer.from('through').toString('hex'));
    expect(await logIn(wrong, 'open sesam')).toBe('0101');
    none.write(hex('05 01 00'));
    expect((await transcript(none)).text).toBe('\x05\ufffd');

    expect(target.accepted).toBe(1);
    expect(it.notes.map(({ code }) => code)).toEqual(['CLIENT_REFUSED', 'CLIENT_REFUSED']);
  });

  test('without the password that it should ask for it does not listen at all, and says how to keep one', async () => {
    const carrier = new ListeningCarrier();
    const it = forwardOf({ ...aSocksPlan({ auth: 'alice' }), kind: 'remote-socks', permit: null }, { carrier });

    await it.forward.start();

    expect([carrier.listens, it.forward.facts]).toMatchObject([
      0,
      { listening: false, error: { code: 'SECRET_STORE' } },
    ]);
    await it.forward.close(0);
  });
});
