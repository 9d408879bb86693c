import { connect, type Socket } from 'node:net';
import type { Connection } from 'ssh2';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import type { Forward } from '../../src/forward/forward-context.ts';
import type { Transport } from '../../src/link/transport.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { eventually } from '../support/eventually.ts';
import { forwardOver } from '../support/forward-over.ts';
import { aHop, ALWAYS, aRequest, listenTo, NOBODY } from '../support/ssh-dial.ts';
import { startScriptedServer, type ScriptedServer } from '../support/ssh-server.ts';

const MIB = 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, 'x');
/** Ciphers at work on so much take seconds on a busy machine. */
const LONG = { withinMs: 30_000, what: 'so much to arrive' };

const clients = new Set<Socket>();
afterEach(() => {
  for (const client of clients) client.destroy();
  clients.clear();
});

/**
 * Links to SSH servers in this process, whose channels take what comes and count it. Both sides take turns in one event loop, so what is
 * counted is who was let send, and not whom the system let run.
 */
class Counting {
  /** Of each channel, in the order in which they were opened, over all links. */
  readonly received: number[] = [];
  /** How much all had received when a channel was opened. */
  readonly openedAt: number[] = [];

  get total(): number {
    return this.received.reduce((sum, bytes) => sum + bytes, 0);
  }

  readonly serve = (connection: Connection): void => {
    connection.on('tcpip', (accept) => {
      this.openedAt.push(this.total);
      const index = this.received.push(0) - 1;
      const channel = accept();
      channel.on('data', (chunk: Buffer) => (this.received[index] = (this.received[index] ?? 0) + chunk.length));
      channel.on('end', () => channel.close());
    });
  };
}

interface Link {
  readonly server: ScriptedServer;
  readonly transport: Transport;
  readonly forward: Forward;
  readonly port: number;
}

async function links(count: number, counting: Counting): Promise<readonly Link[]> {
  const dial = createDial({ readSecret: () => Promise.resolve(undefined) }); // as one supervisor has
  const made: Link[] = [];
  for (let index = 0; index < count; index += 1) {
    const server = await startScriptedServer({ onConnection: counting.serve });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const hop = aHop({ port: server.port, hostKey: { kind: 'accept-new' }, ciphers: ['aes128-gcm@openssh.com'] });
    const transport = await dial(aRequest([hop], { password: ['any'] }).request);
    onTestFinished(() => transport.destroy(new TunnelError('STOPPED', 'The test is over')));
    const { forward, port } = await forwardOver(transport, { kind: 'tcp', host: 'there', port: 1 });
    onTestFinished(() => forward.close(0));
    made.push({ server, transport, forward, port });
  }
  return made;
}

/** Sends for as long as the test lasts. */
function upload({ port }: Link): void {
  const client = connect({ port, host: '127.0.0.1', noDelay: true });
  clients.add(client.on('error', () => undefined));
  const more = (): void => {
    while (client.write(CHUNK));
  };
  client.on('drain', more);
  more();
}

test('a connection that follows another does not wait for an acknowledgement', async () => {
  const [link] = await links(1, new Counting());
  if (link === undefined) throw new Error('No link');
  const tookMs: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const startedMs = performance.now();
    const channel = await link.transport.openDirect({ kind: 'tcp', host: 'there', port: 2 }, NOBODY, ALWAYS);
    tookMs.push(performance.now() - startedMs);
    const { closed } = listenTo(channel);
    channel.end();
    await closed; // our own CHANNEL_CLOSE is unanswered: with Nagle's algorithm the next open waits for the kernel's delayed ACK
    await new Promise((resolve) => setImmediate(resolve));
  }

  expect(Math.min(...tookMs.slice(1))).toBeLessThan(30); // 40 ms for each of them with it
});

test('sixteen uploads over one link get on alike', { timeout: 40_000 }, async () => {
  const counting = new Counting();
  const [link] = await links(1, counting);
  if (link === undefined) throw new Error('No link');

  for (let index = 0; index < 16; index += 1) upload(link);
  await eventually(() => counting.total > 64 * MIB, LONG);

  expect(counting.received).toHaveLength(16);
  expect(Math.max(...counting.received) / Math.min(...counting.received)).toBeLessThan(2);
});

test('two uploads over two links of one supervisor get on alike', { timeout: 40_000 }, async () => {
  const counting = new Counting();

  for (const link of await links(2, counting)) upload(link);
  await eventually(() => counting.total > 32 * MIB, LONG);

  expect(counting.received).toHaveLength(2);
  expect(Math.max(...counting.received) / Math.min(...counting.received)).toBeLessThan(2);
});

test(
  'a keepalive and a new connection wait behind little of 64 uploads that the server holds up',
  { timeout: 40_000 },
  async () => {
    const counting = new Counting();
    const [link] = await links(1, counting);
    if (link === undefined) throw new Error('No link');
    const { server, transport, forward } = link;
    for (let index = 0; index < 64; index += 1) upload(link);
    await eventually(() => counting.total > 16 * MIB, LONG);
    for (const socket of server.sockets) socket.pause();
    let last = -1;
    await eventually(() => last === (last = forward.facts.sentBytes)); // nothing more is taken from the clients

    const from = counting.total;
    const pinged = transport.ping().then(() => counting.total - from);
    const opened = transport.openDirect({ kind: 'tcp', host: 'there', port: 2 }, NOBODY, ALWAYS);
    for (const socket of server.sockets) socket.resume();
    const pingedAfter = await pinged;
    await opened;
    const openedAfter = (counting.openedAt.at(-1) ?? Infinity) - from;

    // What the kernel holds of a connection, and our own queue; 64 windows are 128 MiB.
    expect(Math.max(pingedAfter, openedAfter)).toBeLessThan(16 * MIB);
  },
);
