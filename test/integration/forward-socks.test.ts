import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { TunnelError, type FailureCode } from '../../src/model/failure.ts';
import { Secret } from '../../src/model/secret.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aSocksPlan, forwardOf, keptPassword, type ForwardFixture } from '../support/forward-fixture.ts';
import { LocalCarrier } from '../support/local-carrier.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const GREETING = hex('05 01 00');
const GRANTED = '05 00 00 01 00000000 0000'.replaceAll(' ', '');

async function started(...given: Parameters<typeof forwardOf>): Promise<ForwardFixture> {
  const fixture = forwardOf(...given);
  await fixture.forward.start();
  return fixture;
}

/** A SOCKS5 request for a name, so that whoever dials has to resolve it. */
function requestFor(port: number, host = 'localhost'): Buffer {
  const name = Buffer.from(host);
  return Buffer.concat([hex('05 01 00 03'), Buffer.from([name.length]), name, Buffer.from([port >> 8, port & 255])]);
}

/** Reads exactly so many bytes, as text of hexadecimal digits. */
async function read(socket: Socket, length: number): Promise<string> {
  await eventually(() => socket.readableLength >= length, { what: `${length} bytes` });
  return (socket.read(length) as Buffer).toString('hex');
}

async function aClient(port: number): Promise<Socket> {
  const socket = await client(port);
  socket.on('readable', () => undefined); // reads ahead; `read` takes
  return socket;
}

describe('a socks forward', () => {
  test('leads each client where it asks, and its records and counters say where', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await started(aSocksPlan());
    const socket = await aClient(it.port);
    socket.write(GREETING);
    expect(await read(socket, 2)).toBe('0500');
    socket.write(requestFor(target.port));
    expect(await read(socket, 10)).toBe(GRANTED);
    socket.end('hello');
    expect(await read(socket, 5)).toBe(Buffer.from('hello').toString('hex'));
    const record = await eventually(() => it.records[0]);
    const bytes = { receivedBytes: 5, sentBytes: 5 };
    expect(record).toMatchObject({ forward: 'proxy', target: `localhost:${target.port}`, end: 'done', ...bytes });
    expect(it.forward.facts).toMatchObject({ kind: 'socks', target: 'any host', totalConnections: 1, ...bytes });
    socket.destroy();
  });

  test('takes a whole conversation at once, its first words and its end included', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await started(aSocksPlan());
    const socket = await client(it.port);
    const seen = transcript(socket);
    socket.end(Buffer.concat([GREETING, requestFor(target.port), Buffer.from('all at once')]));
    const { text, end } = await seen;
    expect([text.endsWith('all at once'), end]).toEqual([true, 'FIN']);
  });

  test('takes a conversation byte by byte', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await started(aSocksPlan());
    const socket = await client(it.port);
    const seen = transcript(socket);
    for (const byte of Buffer.concat([GREETING, requestFor(target.port), Buffer.from('slow')])) {
      socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    socket.end();
    expect(await seen).toMatchObject({ text: expect.stringMatching(/slow$/) as string, end: 'FIN' });
  });

  test.each<[code: FailureCode, reply: string]>([
    ['TARGET_PROHIBITED', '02'],
    ['TARGET_REFUSED', '05'],
    ['CHANNEL_TIMEOUT', '06'],
    ['CONNECTION_LOST', '01'],
  ])('tells its client %s, and closes in order', async (code, reply) => {
    await using it = await started(aSocksPlan());
    it.carrier.refuse(new TunnelError(code, 'Cannot reach localhost:1: as the test says'));
    const socket = await client(it.port);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.write(Buffer.concat([GREETING, requestFor(1)]));
    await once(socket, 'end');
    expect(Buffer.concat(chunks).toString('hex')).toBe(`0500 05${reply} 0001 00000000 0000`.replaceAll(' ', ''));
    await eventually(() => it.notes.length > 0);
    expect(it.notes[0]).toMatchObject({ level: 'warn', code });
    socket.destroy();
  });

  test('lets a client go that has not said where to after 10 s', async () => {
    const clock = new FakeClock();
    await using it = await started(aSocksPlan(), { clock });
    const socket = await client(it.port);
    const seen = transcript(socket);
    socket.write(GREETING);
    await eventually(() => clock.pending >= 2);
    await clock.advance(10_000);
    await seen;
    await eventually(() => it.notes.length > 0);
    expect(it.notes).toEqual([
      {
        level: 'warn',
        code: 'CLIENT_REFUSED',
        message: 'Cannot serve a proxy client: it did not say where to within 10 s',
      },
    ]);
    expect([it.forward.facts.openConnections, it.carrier.opens]).toEqual([0, 0]);
  });

  test.each([
    ['a client that asks on for ever', Buffer.alloc(100_000, 'A'), 'its HTTP request is too long'],
    ['a TLS client', hex('16 03 01 00 a5'), 'it speaks neither SOCKS nor HTTP'],
    ['a client that ends in the middle', GREETING, 'it ended before it had said where to'],
  ])('sends %s away', async (_name, bytes, why) => {
    await using it = await started(aSocksPlan());
    const socket = await client(it.port);
    const seen = transcript(socket);
    socket.end(bytes);
    await seen;
    await eventually(() => it.notes.length > 0);
    expect(it.notes).toEqual([
      { level: 'warn', code: 'CLIENT_REFUSED', message: `Cannot serve a proxy client: ${why}` },
    ]);
    socket.destroy();
  });

  test('says nothing of a client that looks in and leaves', async () => {
    await using it = await started(aSocksPlan());
    (await client(it.port)).end();
    await eventually(() => it.forward.facts.totalConnections === 1 && it.forward.facts.openConnections === 0);
    expect([it.notes, it.records]).toEqual([[], []]);
  });

  test('holds a client through an outage and then serves it', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await started(aSocksPlan(), { carrier: new LocalCarrier(false) });
    const socket = await aClient(it.port);
    socket.write(Buffer.concat([GREETING, requestFor(target.port)]));
    await eventually(() => it.carrier.waiting === 1);
    it.carrier.comeBack();
    expect(await read(socket, 12)).toBe(`0500${GRANTED}`);
    socket.destroy();
  });

  test('cuts its connections with a reset when the link is lost', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await started(aSocksPlan());
    const socket = await client(it.port);
    let heardBytes = 0;
    socket.on('data', (chunk: Buffer) => (heardBytes += chunk.length));
    const seen = transcript(socket);
    socket.write(Buffer.concat([GREETING, requestFor(target.port)]));
    // Node tells a reset as an end where it comes with the last bytes.
    await eventually(() => heardBytes === 2 + GRANTED.length / 2, { what: 'the whole answer' });
    it.carrier.lose();
    expect((await seen).end).toBe('ECONNRESET');
  });
});

describe('a socks forward that wants a login', () => {
  const plan = aSocksPlan({ auth: 'alice' });
  const login = (password: string): Buffer =>
    Buffer.concat([hex('05 01 02 01 05'), Buffer.from('alice'), Buffer.from([password.length]), Buffer.from(password)]);

  test('lets in who knows the password that is kept', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await started(plan, { proxyPassword: (user) => keptPassword(user, new Secret('s3cret')) });
    const socket = await aClient(it.port);
    socket.write(Buffer.concat([login('s3cret'), requestFor(target.port)]));
    expect(await read(socket, 14)).toBe(`05020100${GRANTED}`);
    socket.destroy();
  });

  test('tells a wrong password so after a second, and opens nothing', async () => {
    const clock = new FakeClock();
    await using it = await started(plan, { clock, proxyPassword: (user) => keptPassword(user, new Secret('s3cret')) });
    const socket = await aClient(it.port);
    socket.write(Buffer.concat([login('guess'), requestFor(1)]));
    expect(await read(socket, 2)).toBe('0502');
    await eventually(() => clock.pending >= 3);
    await clock.advance(1_000);
    expect(await read(socket, 2)).toBe('0101');
    await eventually(() => it.notes.length > 0);
    expect(it.notes[0]?.message).toBe('Cannot serve a proxy client: its user name or password is wrong');
    expect(it.carrier.opens).toBe(0);
    socket.destroy();
  });

  test('without a password listens to nobody, says how to store one, and comes up when it is there', async () => {
    const clock = new FakeClock();
    const kept: { password?: Secret } = {};
    await using it = await started(plan, {
      clock,
      proxyPassword: (user) => ({ ...keptPassword(user, undefined), read: () => Promise.resolve(kept.password) }),
    });
    expect(it.forward.facts).toMatchObject({ listening: false, error: { code: 'SECRET_STORE' } });
    expect(it.forward.facts.error?.hint).toBe('Store one with `tunnel secret set password alice@home/proxy`.');
    kept.password = new Secret('s3cret');
    await clock.advance(10_000);
    await eventually(() => it.forward.facts.listening);
  });
});
