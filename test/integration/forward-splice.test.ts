import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { dialLocal } from '../../src/forward/reach/dial.ts';
import { Splice, type SpliceEnding } from '../../src/forward/splice/splice.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { eventually, observes } from '../support/eventually.ts';
import { CutChannel } from '../support/local-carrier.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const MIB = 1024 * 1024;
const lost = new TunnelError('CONNECTION_LOST', 'Cannot go on with the SSH connection: lost');

/** A client and a target with a splice between them, as a forward makes it. */
interface Joined extends AsyncDisposable {
  readonly near: Socket;
  readonly far: Socket;
  readonly accepted: Socket;
  readonly channel: CutChannel;
  readonly splice: Splice;
  readonly ended: Promise<SpliceEnding>;
  readonly endings: SpliceEnding[];
}

async function join(onSocket: (socket: Socket) => void = () => undefined): Promise<Joined> {
  const target = await TcpTarget.start(onSocket);
  const door = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  const address = door.address();
  const arrival = once(door, 'connection') as Promise<[Socket]>;
  const near = await client(address !== null && typeof address === 'object' ? address.port : 0);
  const [accepted] = await arrival;
  const reached = target.next();
  const channel = new CutChannel(await dialLocal(target.endpoint, new AbortController().signal));
  const far = await reached;
  const endings: SpliceEnding[] = [];
  let ended: (ending: SpliceEnding) => void = () => undefined;
  const whenEnded = new Promise<SpliceEnding>((resolve) => (ended = resolve));
  const splice = new Splice(accepted, channel, (ending) => {
    endings.push(ending);
    ended(ending);
  });
  splice.start();
  return {
    near,
    far,
    accepted,
    channel,
    splice,
    endings,
    ended: whenEnded,
    [Symbol.asyncDispose]: async () => {
      near.destroy();
      door.close();
      await target.close();
    },
  };
}

describe('a dialled socket as a channel', () => {
  test('keeps what came before it has a reader, and tells a late one that it has closed', async () => {
    await using target = await TcpTarget.start((socket) => void socket.end('early'));
    const channel = await dialLocal(target.endpoint, new AbortController().signal);
    const events: string[] = [];
    const sink = {
      data: (chunk: Buffer) => void events.push(String(chunk)),
      end: () => void events.push('end'),
      drain: () => void events.push('drain'),
      closed: () => void events.push('closed'),
    };
    await eventually(() => target.accepted === 1);
    channel.attach(sink);
    await eventually(() => events.includes('end'));
    channel.end();
    await eventually(() => events.includes('closed'));
    expect(events).toEqual(['early', 'end', 'closed']);

    const gone = await dialLocal(target.endpoint, new AbortController().signal);
    gone.abort();
    await eventually(() => target.sockets.size === 0);
    events.length = 0;
    gone.attach(sink);
    await eventually(() => events.includes('closed'));
    gone.abort();
    gone.end();
    expect({ events, write: gone.write(Buffer.from('late')) }).toEqual({ events: ['closed'], write: true });
  });

  test('is given up with its signal', async () => {
    await using target = await TcpTarget.start(() => undefined);
    const stopped = new TunnelError('STOPPED', 'Stopped');
    const stop = new AbortController();
    const dialled = dialLocal(target.endpoint, stop.signal);
    stop.abort(stopped);
    await expect(dialled).rejects.toBe(stopped);
    await expect(dialLocal(target.endpoint, stop.signal)).rejects.toBe(stopped);
  });

  test.each([
    [{ kind: 'unix', path: '/nowhere/a.sock' }, 'TARGET_REFUSED', 'unix:/nowhere/a.sock: No such file or directory'],
    [{ kind: 'tcp', host: 'no..where', port: 1 }, 'NAME_UNRESOLVED', 'no..where:1: '],
  ] as const)('of %o fails in plain words', async (endpoint, code, words) => {
    const error: unknown = await dialLocal(endpoint, new AbortController().signal).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringContaining(`Cannot connect to ${words}`) as string });
  });
});

describe('a splice', () => {
  test('carries bytes both ways and counts them', async () => {
    await using pair = await join(echo);
    const seen = transcript(pair.near);
    pair.near.end('hello');
    expect(await seen).toEqual({ text: 'hello', end: 'FIN' });
    expect(await pair.ended).toBe('done');
    expect({ sent: pair.splice.fromSocketBytes, received: pair.splice.fromChannelBytes }).toEqual({
      sent: 5,
      received: 5,
    });
  });

  test('delivers what the target says after the client has ended its direction', async () => {
    await using pair = await join((socket) => {
      socket.resume();
      socket.once('end', () => socket.end('late answer'));
    });
    const seen = transcript(pair.near);
    pair.near.end('question');
    expect(await seen).toEqual({ text: 'late answer', end: 'FIN' });
    expect(await pair.ended).toBe('done');
  });

  test('delivers what the client says after the target has ended its direction', async () => {
    await using pair = await join((socket) => void socket.end('greeting'));
    const far = transcript(pair.far);
    expect(await transcript(pair.near)).toEqual({ text: 'greeting', end: 'FIN' });
    pair.near.end('late words');
    expect(await far).toEqual({ text: 'late words', end: 'FIN' });
    expect(await pair.ended).toBe('done');
  });

  test('passes a reset of the client on to the target', async () => {
    await using pair = await join();
    const far = transcript(pair.far);
    pair.near.resetAndDestroy();
    expect(await far).toEqual({ text: '', end: 'ECONNRESET' });
    expect(await pair.ended).toBe('reset');
  });

  // libuv 1.46 tells it as an end, and the connection stood for as long as the target had nothing to say.
  test('notices a reset of the client that comes right behind its last words', async () => {
    await using pair = await join();
    const far = transcript(pair.far);
    pair.near.write('last words');
    pair.near.resetAndDestroy();
    expect(await pair.ended).toBe('reset');
    expect((await far).text).toBe('last words');
  });

  test('passes a reset of the target on to the client', async () => {
    await using pair = await join();
    const near = transcript(pair.near);
    pair.far.resetAndDestroy();
    expect(await near).toEqual({ text: '', end: 'ECONNRESET' });
    expect(await pair.ended).toMatchObject({ code: 'CONNECTION_LOST' });
  });

  test('resets the client when the link is lost under it, for its data may be lost too', async () => {
    await using pair = await join();
    const near = transcript(pair.near);
    const arrived = once(pair.near, 'data'); // Node tells a reset as an end where it comes with the last bytes
    pair.far.write('half an ans');
    await arrived;
    pair.channel.cut(lost);
    expect(await near).toEqual({ text: 'half an ans', end: 'ECONNRESET' });
    expect(await pair.ended).toBe(lost);
  });

  test.each([
    ['the link is lost after the end of it', lost, lost],
    ['the far side has closed both ways', undefined, 'done'],
  ])(
    'delivers all of a finished answer when %s; what the client writes then meets a reset',
    async (_when, cut, ending) => {
      await using pair = await join();
      const whole = Buffer.alloc(16 * MIB, 'x');
      pair.splice.data(whole);
      pair.splice.end();
      pair.channel.cut(cut);
      expect(pair.accepted.writableLength, 'bytes that are still here when the channel closes').toBeGreaterThan(0);
      const near = await transcript(pair.near);
      expect({ bytes: near.text.length, end: near.end }).toEqual({ bytes: whole.length, end: 'FIN' });
      expect(await pair.ended).toBe(ending);
      await eventually(() => (pair.near.write('more'), pair.near.errored !== null), { what: 'a reset' });
    },
  );

  test('flushes what is queued for a slow client when both ends of the far side close at once', async () => {
    await using pair = await join();
    pair.near.pause();
    pair.far.on('end', () => undefined).end(Buffer.alloc(MIB, 'x'));
    await eventually(() => pair.splice.fromChannelBytes === MIB);
    const closed = once(pair.near, 'close'); // before or after the splice has ended
    pair.near.end();
    pair.near.resume();
    let bytes = 0;
    pair.near.on('data', (chunk: Buffer) => (bytes += chunk.length));
    pair.far.resume();
    expect(await pair.ended).toBe('done');
    await closed;
    expect(bytes).toBe(MIB);
  });

  test('stays half-open for as long as the target keeps its side open, as ssh does', async () => {
    await using pair = await join();
    pair.near.end();
    pair.far.resume();
    await once(pair.far, 'end');
    await observes(100, () => pair.endings.length > 0, 'an ending');
    pair.far.end('now');
    expect(await transcript(pair.near)).toEqual({ text: 'now', end: 'FIN' });
    expect(await pair.ended).toBe('done');
  });

  test('cut by us, resets both sides and says why', async () => {
    await using pair = await join();
    const sides = Promise.all([transcript(pair.near), transcript(pair.far)]);
    const stopped = new TunnelError('STOPPED', 'The tunnel was stopped');
    pair.splice.cut(stopped);
    pair.splice.cut(stopped);
    expect((await sides).map(({ end }) => end)).toEqual(['ECONNRESET', 'ECONNRESET']);
    expect(await pair.ended).toBe(stopped);
  });

  test('ends once and leaves nothing open, whichever way it ends', async () => {
    const ways: readonly ((pair: Joined) => void)[] = [
      ({ near }) => near.resetAndDestroy(),
      ({ far }) => far.resetAndDestroy(),
      ({ near, far }) => (near.end(), far.end(), near.resume(), far.resume()),
      ({ channel }) => channel.cut(lost),
      ({ splice }) => splice.cut(lost),
      ({ near }) => near.destroy(),
      ({ far }) => far.destroy(),
    ];
    for (const end of ways) {
      await using pair = await join((socket) => void socket.on('end', () => socket.end()).resume());
      pair.near.on('end', () => pair.near.end()).resume();
      end(pair);
      await pair.ended;
      await eventually(() => pair.accepted.closed && pair.far.closed, { what: `an end of way ${ways.indexOf(end)}` });
      expect(pair.endings).toHaveLength(1);
    }
  });

  test('holds a fast target back while the client does not read, and loses no byte of it', async () => {
    await using pair = await join();
    const total = 64 * MIB;
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const push = (): void => {
      while (written < total) {
        written += chunk.length;
        if (!pair.far.write(chunk)) return void pair.far.once('drain', push);
      }
      pair.far.end();
    };
    pair.near.pause();
    push();
    await eventually(() => pair.channel.pauses > 0, { what: 'back-pressure' });
    await observes(200, () => pair.accepted.writableLength > MIB, 'an unbounded queue');
    expect(written).toBeLessThan(total);
    let bytes = 0;
    pair.near.on('data', (data: Buffer) => (bytes += data.length));
    pair.near.resume();
    await once(pair.near, 'end');
    expect(bytes).toBe(total);
  });

  test('holds a fast client back while the target does not read, and loses no byte of it', async () => {
    await using pair = await join((socket) => void socket.pause());
    const total = 64 * MIB;
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const push = (): void => {
      while (written < total) {
        written += chunk.length;
        if (!pair.near.write(chunk)) return void pair.near.once('drain', push);
      }
      pair.near.end();
    };
    push();
    await eventually(() => pair.accepted.isPaused(), { what: 'back-pressure' });
    const held = pair.splice.fromSocketBytes;
    await observes(200, () => pair.splice.fromSocketBytes > held + MIB, 'a source that is not held back');
    let bytes = 0;
    pair.far.on('data', (data: Buffer) => (bytes += data.length));
    pair.far.resume();
    await once(pair.far, 'end');
    expect(bytes).toBe(total);
  });
});
