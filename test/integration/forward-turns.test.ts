import { once } from 'node:events';
import { connect, createServer, Socket, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Channel, ChannelSink } from '../../src/link/transport.ts';
import { awaitTurn, forgetTurn, TURN_BYTES, type Reading } from '../../src/forward/splice/read-turns.ts';
import { Splice } from '../../src/forward/splice/splice.ts';
import { readWide } from '../../src/forward/splice/wide-reads.ts';
import { eventually } from '../support/eventually.ts';

const MIB = 1024 * 1024;

const sockets = new Set<Socket>();
const servers = new Set<Server>();
afterEach(() => {
  for (const one of sockets) one.destroy();
  for (const one of servers) one.close();
  sockets.clear();
  servers.clear();
});

/** Both ends of a connection, as a forward's listener accepts it: nothing read yet. */
async function pair(): Promise<{ near: Socket; accepted: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  servers.add(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const address = server.address();
  const arrival = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port: address !== null && typeof address === 'object' ? address.port : 0, noDelay: true });
  const [accepted] = await arrival;
  for (const one of [near, accepted]) sockets.add(one.on('error', () => undefined));
  return { near, accepted };
}

/** What arrives at a channel, in the order in which it does. */
class Order {
  readonly arrivals: { readonly from: string; readonly bytes: number }[] = [];

  bytesOf(from: string): number {
    return this.arrivals.reduce((sum, one) => sum + (one.from === from ? one.bytes : 0), 0);
  }

  /** Bytes of others that arrived before the first one of `from`. */
  before(from: string): number {
    const at = this.arrivals.findIndex((one) => one.from === from);
    return this.arrivals.slice(0, at).reduce((sum, one) => sum + one.bytes, 0);
  }
}

/** A channel that takes everything, or nothing while it is full. */
class RecordingChannel implements Channel {
  full = false;
  sink: ChannelSink | undefined;
  readonly #name: string;
  readonly #order: Order;

  constructor(name: string, order: Order) {
    this.#name = name;
    this.#order = order;
  }

  attach(sink: ChannelSink): void {
    this.sink = sink;
  }
  write(chunk: Buffer): boolean {
    this.#order.arrivals.push({ from: this.#name, bytes: chunk.length });
    return !this.full;
  }
  readonly lend = (chunk: Buffer): boolean => this.write(chunk);
  ready(): boolean {
    return !this.full;
  }
  readonly end = (): void => undefined;
  abort(): void {
    this.sink?.closed();
  }
  readonly pause = (): void => undefined;
  readonly resume = (): void => undefined;
}

async function splice(
  name: string,
  order: Order,
): Promise<{ near: Socket; channel: RecordingChannel; start: () => void }> {
  const { near, accepted } = await pair();
  const channel = new RecordingChannel(name, order);
  const made = new Splice(accepted, channel, () => undefined);
  return { near, channel, start: () => made.start() };
}

/** More than the kernel holds for a connection, so that each turn finds something to read. */
function fill(socket: Socket): void {
  socket.write(Buffer.alloc(4 * MIB, 'x'));
}

test('another connection does not wait for more than a turn of each upload', async () => {
  const order = new Order();
  const uploads = await Promise.all(['a', 'b', 'c', 'd'].map((name) => splice(name, order)));
  const quiet = await splice('quiet', order);
  quiet.near.write('?'); // there by the time when it may be read: how long the kernel takes is not the question
  for (const { near } of uploads) fill(near);
  for (const upload of uploads) upload.start();
  await eventually(() => ['a', 'b', 'c', 'd'].every((name) => order.bytesOf(name) > 0));

  order.arrivals.length = 0;
  quiet.start();
  await eventually(() => order.bytesOf('quiet') > 0);

  // Its byte is on its way within a few turns; without turns, each of them is 2 MiB of every upload.
  expect(order.before('quiet')).toBeLessThan(3 * MIB);
});

test('uploads take turns: none gets ahead of another', async () => {
  const order = new Order();
  const names = ['a', 'b', 'c', 'd', 'e'];
  const uploads = await Promise.all(names.map((name) => splice(name, order)));
  for (const { near } of uploads) fill(near);

  for (const upload of uploads) upload.start();
  await eventually(() => names.every((name) => order.bytesOf(name) >= 1.5 * MIB));
  let [most, least] = [0, 0];
  const sums = new Map(names.map((name) => [name, 0]));
  for (const { from, bytes } of order.arrivals) {
    sums.set(from, (sums.get(from) ?? 0) + bytes);
    [most, least] = [Math.max(...sums.values()), Math.min(...sums.values())];
    if (least >= 1.5 * MIB) break;
    expect(most - least).toBeLessThanOrEqual(4 * TURN_BYTES);
  }
});

test('a source whose channel is full is not read in its turn, and goes on when there is room', async () => {
  const order = new Order();
  const { near, channel, start } = await splice('a', order);
  channel.full = true;
  fill(near);

  start();
  await eventually(() => order.arrivals.length === 1);
  await new Promise((resolve) => setImmediate(resolve));
  channel.sink?.drain();
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(order.arrivals).toHaveLength(1);

  channel.full = false;
  channel.sink?.drain();
  await eventually(() => order.bytesOf('a') > MIB);
});

test('a client that catches up gives back what it was lent, also where copies came behind it', async () => {
  const { near, accepted } = await pair();
  const made = new Splice(accepted, new RecordingChannel('a', new Order()), () => undefined);
  made.start();
  let released = 0;

  for (let round = 1; round <= 2; round += 1) {
    made.borrow(Buffer.alloc(8 * MIB, 'x')); // more than the kernel holds for a connection
    expect(made.settle(() => (released += 1))).toBe(false);
    made.data(Buffer.alloc(8 * MIB, 'y'));
    near.resume();
    await eventually(() => released === round);
    await eventually(() => accepted.writableLength === 0);
    near.pause();
  }
});

test('sources read on in the order in which they came, two in a turn', async () => {
  const turns: string[][] = [[]];
  const source = (name: string): Reading => ({ readOn: () => void turns.at(-1)?.push(name) });
  const [a, b, c, d] = [source('a'), source('b'), source('c'), source('d')];

  for (const one of [a, b, c, d, a]) awaitTurn(one);
  forgetTurn(b);
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    turns.push([]);
  }

  expect(turns.flat()).toEqual(['a', 'c', 'd']);
  expect(Math.max(...turns.map(({ length }) => length))).toBe(2);
});

test('a socket that reads wide reads less at a time while others share its connection', async () => {
  const { near, accepted } = await pair();
  const sizes: number[] = [];
  let most = 16_384;
  expect(
    readWide(
      accepted,
      (chunk) => {
        sizes.push(chunk.length);
        if (sizes.length === 3) most = TURN_BYTES;
      },
      () => most,
    ),
  ).toBe(true);
  accepted.resume();
  near.write('x'); // after each read the next one is decided
  await eventually(() => sizes.length === 1);

  near.end(Buffer.alloc(MIB));

  await eventually(() => sizes.reduce((sum, size) => sum + size, 0) === MIB + 1);
  expect(sizes[0]).toBe(1);
  expect(Math.max(...sizes.slice(0, 3))).toBe(16_384); // one of the two may find less in the kernel
  expect(Math.max(...sizes)).toBeGreaterThan(16_384);
});

test('a socket that reads wide keeps order, ends and can be paused', async () => {
  const { near, accepted } = await pair();
  const heard: string[] = [];
  const text = (chunk: Buffer): string => `${chunk.length} ${String.fromCharCode(chunk[0] ?? 0)}`;
  near.write(Buffer.alloc(1_000, 'a'));
  await once(accepted, 'readable');
  accepted.on('data', (chunk: Buffer) => heard.push(`data ${text(chunk)}`));
  accepted.on('end', () => heard.push('end'));

  expect(readWide(accepted, (chunk) => void heard.push(`wide ${text(chunk)}`))).toBe(true);
  accepted.resume();
  await eventually(() => heard.length === 1);
  near.write(Buffer.alloc(2_000, 'b'));
  await eventually(() => heard.length === 2);
  accepted.pause();
  near.end(Buffer.alloc(3_000, 'c'));
  await once(near, 'finish');
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual(['data 1000 a', 'wide 2000 b']);

  accepted.resume();
  await eventually(() => heard.includes('end'));
  expect(heard.slice(2)).toEqual(['wide 3000 c', 'end']);
});

test('another Node reads as it always did', async () => {
  const other = Object.assign(Object.create(null) as Socket, { _handle: { useUserBuffer: () => undefined } });
  expect(readWide(other, () => undefined)).toBe(false);
  expect(readWide(new Socket(), () => undefined)).toBe(false); // no handle

  const { accepted } = await pair();
  expect([readWide(accepted, () => undefined), readWide(accepted, () => undefined)]).toEqual([true, false]); // taken
});
