import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { TunnelError } from '../../src/model/failure.ts';
import { eventually, observes } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aForward, ANY_PORT, aStartedForward } from '../support/forward-fixture.ts';
import { LocalCarrier } from '../support/local-carrier.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';
import { unhurriedSearch } from '../support/unhurried.ts';

const refused = new TunnelError('TARGET_REFUSED', 'Cannot reach pop.example.org:113: Connection refused');

async function ask(port: number, words: string, host?: string): Promise<{ text: string; end: string }> {
  const socket = await client(port, host);
  socket.end(words);
  return transcript(socket);
}

describe('a local forward', () => {
  test('serves a client and tells of it', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint);
    expect(await ask(it.port, 'hello')).toEqual({ text: 'hello', end: 'FIN' });
    const record = await eventually(() => it.records[0]);
    const [originator] = it.carrier.originators;
    expect(record).toEqual({
      forward: 'mail',
      client: `127.0.0.1:${originator?.port}`,
      target: `127.0.0.1:${target.port}`,
      durationMs: expect.any(Number) as number,
      receivedBytes: 5,
      sentBytes: 5,
      end: 'done',
    });
    expect(it.forward.facts).toEqual({
      name: 'mail',
      kind: 'local',
      bind: `127.0.0.1:${it.port}`,
      target: `127.0.0.1:${target.port}`,
      listening: true,
      error: null,
      health: null,
      openConnections: 0,
      totalConnections: 1,
      receivedBytes: 5,
      sentBytes: 5,
    });
    expect({ notes: it.notes, bound: it.boundPorts }).toEqual({ notes: [], bound: [it.port] });
  });

  test('serves localhost in both families as one', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { plan: { bind: { ...ANY_PORT, host: 'localhost' } } });
    expect((await ask(it.port, 'four', '127.0.0.1')).text).toBe('four');
    expect((await ask(it.port, 'six', '::1')).text).toBe('six');
    expect(it.forward.facts.totalConnections).toBe(2);
  });

  test('counts the bytes of open connections too', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint);
    const socket = await client(it.port);
    socket.write('hello');
    await once(socket, 'data');
    const { openConnections, receivedBytes, sentBytes } = it.forward.facts;
    expect({ openConnections, receivedBytes, sentBytes }).toEqual({
      openConnections: 1,
      receivedBytes: 5,
      sentBytes: 5,
    });
    socket.destroy();
  });

  test('loses none of 500 connections that come at once', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint);
    const answers = await Promise.all(Array.from({ length: 500 }, (_, index) => ask(it.port, `client ${index}`)));
    expect(answers).toEqual(Array.from({ length: 500 }, (_, index) => ({ text: `client ${index}`, end: 'FIN' })));
    await eventually(() => it.forward.facts.openConnections === 0);
    expect(it.forward.facts.totalConnections).toBe(500);
    expect(it.carrier.channels.size).toBe(0);
  });

  test('needs a link from the moment it is bound until it is closed', async () => {
    await using target = await TcpTarget.start(echo);
    const it = aForward(target.endpoint);
    expect(it.carrier.needs).toBe(0);
    await it.forward.start();
    expect(it.carrier.needs).toBe(1);
    await it.forward.close(0);
    await it.forward.close(0);
    expect(it.carrier.needs).toBe(0);
  });
});

describe('a local forward on a busy port', () => {
  test('names the holder, asks for no link, and comes up by itself once the port is free', async () => {
    unhurriedSearch();
    await using target = await TcpTarget.start(echo);
    const holder = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const bind = { ...ANY_PORT, port: holder.port };
    await using it = await aStartedForward(target.endpoint, { clock, plan: { bind } });
    const message = `Cannot bind 127.0.0.1:${bind.port}: bind [127.0.0.1]:${bind.port}: Address already in use (held by this process itself)`;
    expect(it.notes).toEqual([{ level: 'error', message, code: 'BIND_IN_USE' }]);
    expect(it.forward.facts).toMatchObject({
      listening: false,
      error: { code: 'BIND_IN_USE' },
      bind: `127.0.0.1:${bind.port}`,
    });
    expect(it.carrier.needs).toBe(0);

    await clock.advance(2_000);
    await eventually(() => clock.pending > 0, { what: 'the second try' });
    expect(it.notes).toHaveLength(1);
    await holder.close();
    await clock.advance(2_000);

    await eventually(() => it.forward.facts.listening);
    expect(it.forward.facts.error).toBeNull();
    expect(it.carrier.needs).toBe(1);
    expect(it.notes.slice(1)).toEqual([{ level: 'info', message: `Listening at 127.0.0.1:${bind.port} now` }]);
    expect((await ask(it.port, 'hello')).text).toBe('hello');
  });

  test('stops trying when it is closed', async () => {
    await using holder = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const it = await aStartedForward(holder.endpoint, { clock, plan: { bind: holder.endpoint } });
    await it.forward.close(10_000);
    expect(clock.pending).toBe(0);
  });
});

describe('a client that comes while the link is down', () => {
  test('is held and served when the link is back', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { carrier: new LocalCarrier(false) });
    const answer = ask(it.port, 'patience');
    await eventually(() => it.carrier.waiting === 1);
    it.carrier.comeBack();
    expect(await answer).toEqual({ text: 'patience', end: 'FIN' });
  });

  test('is reset when its 15 s are over, with the reason in the log', async () => {
    const clock = new FakeClock();
    await using it = await aStartedForward(ANY_PORT, { clock, carrier: new LocalCarrier(false) });
    const socket = await client(it.port);
    const seen = transcript(socket);
    await eventually(() => it.carrier.waiting === 1);
    await clock.advance(14_999);
    expect(it.carrier.waiting).toBe(1);
    await clock.advance(1);
    expect((await seen).end).toBe('ECONNRESET');
    await eventually(() => it.notes.length > 0);
    expect(it.notes).toEqual([
      {
        level: 'warn',
        message: 'Cannot reach 127.0.0.1:0 within 15 s: the SSH connection is down',
        code: 'HOLD_EXPIRED',
      },
    ]);
    expect(it.carrier.waiting).toBe(0);
  });

  test.each([
    ['closes', (socket: Socket): unknown => socket.destroy()],
    ['resets', (socket: Socket): unknown => socket.resetAndDestroy()],
  ])('and %s before it is served, is opened no connection for', async (_name, leave) => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { carrier: new LocalCarrier(false) });
    const socket = await client(it.port);
    await eventually(() => it.carrier.waiting === 1);
    leave(socket);
    await eventually(() => it.carrier.waiting === 0);
    it.carrier.comeBack();
    await eventually(() => it.forward.facts.openConnections === 0);
    expect({ accepted: target.accepted, notes: it.notes, records: it.records }).toEqual({
      accepted: 0,
      notes: [],
      records: [],
    });
  });

  test('and ends its direction after a request, is served: it still reads', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { carrier: new LocalCarrier(false) });
    const answer = ask(it.port, 'request');
    await eventually(() => it.carrier.waiting === 1);
    await observes(50, () => it.carrier.waiting === 0, 'the client being let go');
    it.carrier.comeBack();
    expect(await answer).toEqual({ text: 'request', end: 'FIN' });
  });

  test('is turned away at once where the profile says refuse', async () => {
    const whileDown = { hold: false, holdMs: 15_000, queue: 256 };
    await using it = await aStartedForward(ANY_PORT, { carrier: new LocalCarrier(false), whileDown });
    expect((await transcript(await client(it.port))).text).toBe('');
    expect(it.notes).toEqual([
      { level: 'warn', message: 'Cannot reach 127.0.0.1:0: the SSH connection is down', code: 'HOLD_EXPIRED' },
    ]);
    expect(it.carrier.opens).toBe(0);
  });
});

test('a client that only reads, and says so with an early end, is served while the link is up', async () => {
  await using target = await TcpTarget.start((socket) => void socket.end('the time'));
  await using it = await aStartedForward(target.endpoint);
  expect(await ask(it.port, '')).toEqual({ text: 'the time', end: 'FIN' });
});

describe('a target that refuses', () => {
  test('costs its client a prompt FIN, as with ssh, and leaves the forward alone', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { clock: new FakeClock() }); // prompt: no time passes
    it.carrier.refuse(refused);
    expect(await transcript(await client(it.port))).toEqual({ text: '', end: 'FIN' });
    it.carrier.refuse(undefined);
    expect((await ask(it.port, 'hello')).text).toBe('hello');
  });

  test('is one line in the log for a burst, and one more that counts the rest', async () => {
    const clock = new FakeClock();
    await using it = await aStartedForward(ANY_PORT, { clock });
    it.carrier.refuse(refused);
    await Promise.all(Array.from({ length: 20 }, () => ask(it.port, 'hello')));
    await eventually(() => it.forward.facts.openConnections === 0);
    await clock.advance(10_000);
    const note = { level: 'warn', message: refused.message, code: 'TARGET_REFUSED' };
    expect(it.notes).toEqual([note, { ...note, repeated: 19 }]);
    expect(it.forward.facts.totalConnections).toBe(20);
  });
});

test('a lost link resets the connections it carried and keeps the listener', async () => {
  await using target = await TcpTarget.start(echo);
  await using it = await aStartedForward(target.endpoint);
  const socket = await client(it.port);
  socket.write('hello');
  await once(socket, 'data');
  const seen = transcript(socket);
  it.carrier.lose();
  expect((await seen).end).toBe('ECONNRESET');
  const record = await eventually(() => it.records[0]);
  expect(record).toMatchObject({ end: 'CONNECTION_LOST', reason: 'Cannot go on with the SSH connection: lost' });
  const next = ask(it.port, 'again');
  it.carrier.comeBack();
  expect((await next).text).toBe('again');
});

describe('limits', () => {
  test('of connections: one too many is closed at once, and a place that is given back is taken again', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { limits: { connections: 2, perClient: 9 } });
    const [first] = [await client(it.port), await client(it.port)];
    await eventually(() => it.forward.facts.openConnections === 2);
    expect((await transcript(await client(it.port))).text).toBe('');
    expect(it.notes).toEqual([
      {
        level: 'warn',
        message: `Closed a connection from 127.0.0.1 to 127.0.0.1:${it.port}: 2 connections are open (limits.connections)`,
        code: 'LIMIT_REACHED',
      },
    ]);
    first.destroy();
    await eventually(() => it.forward.facts.openConnections === 1);
    expect((await ask(it.port, 'hello')).text).toBe('hello');
    expect(it.forward.facts.totalConnections).toBe(4);
  });

  test('for each client: another address still finds a place', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, { limits: { connections: 9, perClient: 1 } });
    const first = await client(it.port);
    await eventually(() => it.forward.facts.openConnections === 1);
    expect((await transcript(await client(it.port))).text).toBe('');
    const elsewhere = connect({ port: it.port, host: '127.0.0.1', localAddress: '127.0.0.2', allowHalfOpen: true });
    elsewhere.end('hello');
    expect((await transcript(elsewhere)).text).toBe('hello');
    expect(it.notes.map(({ code }) => code)).toEqual(['LIMIT_REACHED']);
    first.destroy();
  });

  test('change with `update`, under open connections', async () => {
    await using target = await TcpTarget.start(echo);
    const settings = {
      whileDown: { hold: true, holdMs: 15_000, queue: 256 },
      probe: { everyMs: 30_000, timeoutMs: 5_000 },
    };
    await using it = await aStartedForward(target.endpoint, { limits: { connections: 1, perClient: 1 } });
    const first = await client(it.port);
    await eventually(() => it.forward.facts.openConnections === 1);
    it.forward.update({ ...settings, limits: { connections: 2, perClient: 2 } });
    expect((await ask(it.port, 'hello')).text).toBe('hello');
    first.write('still here');
    expect(String(await once(first, 'data'))).toBe('still here');
    first.destroy();
  });
});

test('`allow` closes what comes from elsewhere, without a channel for it', async () => {
  await using target = await TcpTarget.start(echo);
  await using it = await aStartedForward(target.endpoint, { plan: { allow: ['127.0.0.2/32', '::1'] } });
  expect((await transcript(await client(it.port))).text).toBe('');
  expect(it.notes).toEqual([
    {
      level: 'warn',
      message: `Closed a connection from 127.0.0.1 to 127.0.0.1:${it.port}: the address is not in \`allow\``,
    },
  ]);
  expect(it.carrier.opens).toBe(0);
});

describe('closing', () => {
  test('takes no new client, lets the open ones end by themselves and keeps their link until then', async () => {
    await using target = await TcpTarget.start(echo);
    const it = await aStartedForward(target.endpoint);
    const port = it.port;
    const socket = await client(port);
    socket.write('hello');
    await once(socket, 'data');
    const closed = it.forward.close(10_000);
    const late = connect(port, '127.0.0.1');
    expect((await once(late, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
    expect(it.carrier.needs).toBe(1);
    socket.end(' and bye');
    expect(await transcript(socket)).toEqual({ text: ' and bye', end: 'FIN' });
    await closed;
    expect({ needs: it.carrier.needs, end: it.records[0]?.end }).toEqual({ needs: 0, end: 'done' });
  });

  test('cuts what is still open when the time is over', async () => {
    const clock = new FakeClock();
    await using target = await TcpTarget.start(echo);
    const it = await aStartedForward(target.endpoint, { clock });
    const socket = await client(it.port);
    socket.write('hello');
    await once(socket, 'data');
    const seen = transcript(socket);
    const closed = it.forward.close(10_000);
    await clock.advance(10_000);
    await closed;
    expect((await seen).end).toBe('ECONNRESET');
    expect(it.records).toMatchObject([{ end: 'STOPPED' }]);
    expect(clock.pending).toBe(0);
  });

  test('a second call may shorten the time', async () => {
    await using target = await TcpTarget.start(echo);
    const it = await aStartedForward(target.endpoint);
    const socket = await client(it.port);
    await eventually(() => it.carrier.channels.size === 1);
    const first = it.forward.close(60_000);
    await it.forward.close(0);
    await first;
    expect(it.forward.facts.openConnections).toBe(0);
    socket.destroy();
  });

  test('does not wait for clients that no link will serve', async () => {
    const it = await aStartedForward(ANY_PORT, { carrier: new LocalCarrier(false) });
    const seen = transcript(await client(it.port));
    await eventually(() => it.carrier.waiting === 1);
    await it.forward.close(60_000);
    expect((await seen).end).toBe('ECONNRESET');
  });

  test('before the first bind has ended leaves nothing listening', async () => {
    const it = aForward(ANY_PORT, { plan: { bind: { ...ANY_PORT, host: 'localhost' } } });
    const order: string[] = [];
    const started = it.forward.start().then(() => order.push('bind has ended'));
    await it.forward.close(0).then(() => order.push('closed'));
    await started;
    expect(order).toEqual(['bind has ended', 'closed']);
    expect({ listening: it.forward.facts.listening, bound: it.boundPorts, needs: it.carrier.needs }).toEqual({
      listening: false,
      bound: [],
      needs: 0,
    });
  });
});

test('a forward on a unix socket tells the server of an address that stands for none', async () => {
  await using target = await TcpTarget.start(echo);
  const path = `${process.env['TMPDIR'] ?? '/tmp'}/tunnel-forward-${process.pid}.sock`;
  await using it = await aStartedForward(target.endpoint, { plan: { bind: { kind: 'unix', path } } });
  const socket = connect({ path, allowHalfOpen: true });
  socket.end('hello');
  expect((await transcript(socket)).text).toBe('hello');
  const record = await eventually(() => it.records[0]);
  expect({ client: record?.client, originators: it.carrier.originators, bind: it.forward.facts.bind }).toEqual({
    client: 'unix',
    originators: [{ address: '127.0.0.1', port: 65_535 }],
    bind: `unix:${path}`,
  });
});
