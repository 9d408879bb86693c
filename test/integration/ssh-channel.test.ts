import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import ssh2, { type ServerChannel } from 'ssh2';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Channel, Transport } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import type { HopPlan } from '../../src/model/plan.ts';
import { makeKeyPair } from '../../src/ssh/keys/key-pair.ts';
import { eventually, observes } from '../support/eventually.ts';
import { aDial, aHop, ALWAYS, aRequest, listenTo, NOBODY, sshdHop } from '../support/ssh-dial.ts';
import { startScriptedServer } from '../support/ssh-server.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

let sshd: TestSshd;
let home: TempHome;
const servers = new Set<Server>();
const sockets = new Set<Socket>();
beforeAll(async () => {
  // IPv4 alone: a port that it chooses for a name with two addresses is free at the first of them, and maybe not at the other.
  sshd = await startSshd({ config: ['AddressFamily inet'] });
  home = await tempHome();
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  sockets.clear();
  servers.clear();
});
afterAll(async () => {
  await sshd.stop();
  await home.remove();
});

async function target(onSocket: (socket: Socket) => void): Promise<Endpoint & { readonly kind: 'tcp' }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

async function connected(hops: number, over: Partial<HopPlan> = {}, server: TestSshd = sshd): Promise<Transport> {
  const chain = Array.from({ length: hops }, () => sshdHop(server, over));
  const transport = await aDial()(aRequest(chain).request);
  onTestFinished(() => transport.close());
  return transport;
}
const open = (transport: Transport, to: Endpoint): Promise<Channel> => transport.openDirect(to, NOBODY, ALWAYS);

/** Sends all of it with the channel's own back pressure, then EOF. */
async function send(channel: Channel, heard: ReturnType<typeof listenTo>, data: Buffer): Promise<void> {
  for (let at = 0; at < data.length; at += 65_536) {
    const drains = heard.events.filter((event) => event === '<drain>').length;
    if (channel.write(Buffer.from(data.subarray(at, at + 65_536)))) continue;
    await eventually(() => heard.events.filter((event) => event === '<drain>').length > drains, { what: 'drain' });
  }
  channel.end();
}

describe('half-close', () => {
  test.each([1, 2, 3])('our end first: late data still arrives, over %i hops', async (hops) => {
    const to = await target((socket) => {
      socket.resume().on('end', () => socket.end('late answer'));
    });
    const channel = await open(await connected(hops), to);
    const heard = listenTo(channel);
    channel.write(Buffer.from('request'));
    channel.end();
    expect(await heard.closed).toBeUndefined();
    expect(heard.events).toEqual(['late answer', '<end>', '<closed>']);
  });

  test("the target's end first: we can still send", async () => {
    let got = '';
    const to = await target((socket) => {
      socket.end('bye');
      socket.setEncoding('utf8').on('data', (text: string) => (got += text));
    });
    const channel = await open(await connected(1), to);
    const heard = listenTo(channel);
    await eventually(() => heard.events.includes('<end>'));
    channel.write(Buffer.from('still here'));
    channel.end();
    expect(await heard.closed).toBeUndefined();
    await eventually(() => got === 'still here', { what: 'what the target gets, by another socket than the close' });
  });
});

describe('endings', () => {
  test('abort frees the channel at the server at once, whatever is queued, and tells once', async () => {
    let gone = false;
    const to = await target((socket) => socket.on('end', () => (gone = true)).resume());
    const channel = await open(await connected(1), to);
    const heard = listenTo(channel);
    channel.write(Buffer.alloc(1000));
    channel.abort();
    channel.abort();
    expect(await heard.closed).toBeUndefined();
    await eventually(() => gone);
    expect(heard.events).toEqual(['<closed>']);
  });

  test('abort of a channel that nobody reads lets go of it too', async () => {
    let gone = false;
    const to = await target((socket) => {
      socket.resume(); // the end comes as FIN, or as a reset where bytes were left unread
      for (const event of ['end', 'close']) socket.on(event, () => (gone = true));
      socket.write(Buffer.alloc(4_000_000));
    });
    const channel = await open(await connected(1), to);
    const heard = listenTo(channel);
    channel.pause();
    channel.abort();
    await heard.closed;
    await eventually(() => gone);
  });

  test('what came before the reader is kept for it', async () => {
    const to = await target((socket) => socket.end('early'));
    const channel = await open(await connected(1), to);
    await observes(50, () => false, 'nothing');
    const heard = listenTo(channel);
    channel.end();
    await heard.closed;
    expect(heard.events).toEqual(['early', '<end>', '<closed>']);
  });

  test('a lost connection is told with its reason, never as a clean end, and nothing throws afterwards', async () => {
    const own = await startSshd();
    onTestFinished(() => own.stop());
    const to = await target(() => undefined);
    const transport = await connected(1, {}, own);
    const channel = await open(transport, to);
    const late = await open(transport, to);
    const heard = listenTo(channel);
    await own.kill();
    expect(await heard.closed).toMatchObject({ code: 'CONNECTION_LOST' });
    expect(heard.events).toEqual(['<closed>']);
    expect(channel.write(Buffer.alloc(10))).toBe(true);
    for (const act of ['end', 'abort', 'pause', 'resume'] as const) channel[act]();
    expect(await listenTo(late).closed).toMatchObject({ code: 'CONNECTION_LOST' });
  });
});

describe('opening', () => {
  test('a refused, an unknown and a forbidden target are told apart, in words that OpenSSH users know', async () => {
    const own = await startSshd({ config: ['PermitOpen 127.0.0.1:*'] });
    onTestFinished(() => own.stop());
    const transport = await connected(1, {}, own);
    const port = await freePort();
    await expect(open(transport, { kind: 'tcp', host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'TARGET_REFUSED',
      message: `Cannot reach 127.0.0.1:${port} from ${own.address}: connect failed: Connection refused`,
    });
    await expect(open(transport, { kind: 'tcp', host: '127.0.0.2', port })).rejects.toMatchObject({
      code: 'TARGET_PROHIBITED',
      message: `Cannot reach 127.0.0.2:${port} from ${own.address}: administratively prohibited: open failed`,
    });
    expect(await transport.ping()).toBeGreaterThan(0);
  });

  test('a Unix socket of the server is reached', async () => {
    const path = join(home.dir, 'target.sock');
    const server = createServer((socket) => socket.end('unix'));
    servers.add(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const channel = await open(await connected(2), { kind: 'unix', path });
    const heard = listenTo(channel);
    channel.end();
    await heard.closed;
    expect(heard.text()).toBe('unix');
  });

  test('a frozen server fails each open by its deadline, a withdrawn one at once, and a late answer leaks nothing', async () => {
    const own = await startSshd();
    onTestFinished(() => own.stop());
    let accepted = 0;
    let gone = 0;
    const to = await target((socket) => {
      accepted++;
      socket.resume().on('end', () => gone++);
    });
    const timeouts = { connectMs: 5_000, loginMs: 5_000, channelMs: 200 };
    const transport = await aDial()(aRequest([sshdHop(own)], {}, { timeouts }).request);
    onTestFinished(() => transport.close());
    const withdraw = new AbortController();
    await own.freeze();
    const late = open(transport, to);
    const withdrawn = transport.openDirect(to, NOBODY, withdraw.signal);
    withdraw.abort();
    await expect(withdrawn).rejects.toMatchObject({ code: 'STOPPED' });
    await expect(late).rejects.toMatchObject({ code: 'CHANNEL_TIMEOUT' });
    await own.thaw();
    await eventually(() => accepted === 2 && gone === 2, { what: 'both late channels to be closed' });
  });
});

describe('flow', () => {
  test('a service that greets is heard at once, and not only when the kernel acknowledges the confirmation', async () => {
    const transport = await connected(1);
    const greeter = await target((socket) => socket.write('+OK ready'));
    const greeting = async (): Promise<number> => {
      const startedMs = performance.now();
      const channel = await open(transport, greeter);
      const { bytes, closed } = listenTo(channel);
      await eventually(() => bytes() > 0);
      const tookMs = performance.now() - startedMs;
      channel.abort();
      await closed;
      return tookMs;
    };

    // sshd leaves Nagle's algorithm on: 40 ms each, but for the first few, which a kernel may acknowledge at once.
    expect(await usualMs(greeting)).toBeLessThan(30);
  });

  test.each([
    ['', 0],
    [' after a conversation', 50],
  ])(
    'a body behind its head is not kept back until the kernel acknowledges the head%s',
    { timeout: 40_000 },
    async (_when, questions) => {
      const service = await target((socket) => {
        socket.setNoDelay(true).on('data', (asked) => {
          socket.write('head');
          if (asked.toString() === 'both') setTimeout(() => socket.write('body'), 1);
        });
      });
      const channel = await open(await connected(1), service);
      const ask = asker(channel);
      const both = async (): Promise<number> => {
        for (let question = 0; question < questions; question += 1) await ask('head', 4);
        return ask('both', 8);
      };

      expect(await usualMs(both)).toBeLessThan(30); // 40 ms each, as above
    },
  );

  test('what is sent comes back unchanged, over two hops', { timeout: 40_000 }, async () => {
    const to = await target((socket) => socket.pipe(socket));
    const channel = await open(await connected(2), to);
    const hash = createHash('sha256');
    let bytes = 0;
    const drains: (() => void)[] = [];
    const closed = new Promise<void>((resolve) =>
      channel.attach({
        data: (chunk) => {
          hash.update(chunk);
          bytes += chunk.length;
        },
        end: () => undefined,
        drain: () => drains.splice(0).forEach((go) => go()),
        closed: () => resolve(),
      }),
    );
    const data = randomBytes(8_000_000);
    for (let at = 0; at < data.length; at += 65_536) {
      const room = channel.write(Buffer.from(data.subarray(at, at + 65_536)));
      if (!room) await new Promise<void>((resolve) => drains.push(resolve));
    }
    channel.end();
    await closed;
    expect([bytes, hash.digest('hex')]).toEqual([data.length, createHash('sha256').update(data).digest('hex')]);
  });

  test('a paused reader stops the far side within the window', async () => {
    let sent = 0;
    const to = await target((socket) => {
      const more = (): void => {
        while (socket.write(Buffer.alloc(65_536))) sent += 65_536;
      };
      socket.on('drain', more);
      more();
    });
    const channel = await open(await connected(1), to);
    const heard = listenTo(channel);
    await eventually(() => heard.bytes() > 1_000_000);
    channel.pause();
    let last = -1;
    await eventually(() => {
      const still = sent === last;
      last = sent;
      return still;
    });
    const seen = heard.bytes();
    await observes(100, () => heard.bytes() > seen, 'data while paused');
    channel.resume();
    await eventually(() => heard.bytes() > seen + 4_000_000);
    channel.abort();
  });

  test('a target that does not read holds the sender back, and a drain lets it go on', async () => {
    let socket: Socket | undefined;
    const to = await target((accepted) => {
      accepted.pause();
      socket = accepted;
    });
    const channel = await open(await connected(1), to);
    const heard = listenTo(channel);
    let written = 0;
    while (channel.write(Buffer.alloc(65_536))) {
      written += 65_536;
      await new Promise((resolve) => setImmediate(resolve));
      if (written > 64_000_000) throw new Error('Nothing holds the sender back');
    }
    expect(heard.events).toEqual([]);
    socket?.resume();
    await eventually(() => heard.events.includes('<drain>'));
    channel.abort();
  });

  test('memory that is only lent may be used anew at once, however long its bytes have to wait', async () => {
    let reading: Socket | undefined;
    const received: Buffer[] = [];
    const to = await target((socket) => {
      reading = socket.pause();
      socket.on('data', (chunk) => received.push(chunk));
    });
    const channel = await open(await connected(1), to);
    const heard = listenTo(channel);
    const sent: Buffer[] = [];
    const lent = Buffer.alloc(256 * 1024);
    for (let goOn = true, round = 0; goOn || round < 3; round += 1) {
      lent.set(randomBytes(lent.length));
      sent.push(Buffer.from(lent));
      goOn = channel.lend?.(lent) ?? true; // also beyond what the server's window allows
      lent.fill(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    channel.end();
    await eventually(() => reading !== undefined);
    reading?.on('end', () => reading?.end()).resume();
    await heard.closed;
    expect(Buffer.concat(received).equals(Buffer.concat(sent))).toBe(true);
  });

  test(
    'twenty channels on a stalled uplink queue little more than a chunk each, and all go on afterwards',
    { timeout: 40_000 },
    async () => {
      const own = await startSshd();
      onTestFinished(() => own.stop());
      const received = new Map<Socket, number>();
      const to = await target((socket) => {
        received.set(socket, 0);
        socket.on('data', (chunk) => received.set(socket, (received.get(socket) ?? 0) + chunk.length));
      });
      const transport = await connected(1, {}, own);
      const channels = await Promise.all(Array.from({ length: 20 }, () => open(transport, to)));
      const heard = channels.map((channel) => listenTo(channel));
      await own.freeze();

      const held = new Set<number>();
      let accepted = 0;
      for (let round = 0; round < 100; round++) {
        for (const [index, channel] of channels.entries()) {
          if (held.has(index)) continue;
          if (!channel.write(Buffer.alloc(65_536))) held.add(index);
          accepted += 65_536;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(held.size).toBe(20);
      expect(accepted).toBeLessThan(12_000_000); // the kernel's own buffers on loopback, and 256 KiB + one chunk each of ours

      await own.thaw();
      await eventually(() => heard.every((one) => one.events.includes('<drain>')), { what: 'every channel to go on' });
      const sum = (): number => [...received.values()].reduce((total, bytes) => total + bytes, 0);
      await eventually(() => sum() === accepted, { withinMs: 20_000, what: 'all that was accepted to arrive' });
    },
  );
});

describe('behind a jump host', () => {
  test('a stalled path takes what the window to the next hop allows, and little more', async () => {
    const own = await startSshd();
    onTestFinished(() => own.stop());
    const to = await target((socket) => void socket.resume());
    const transport = await aDial()(aRequest([sshdHop(own), sshdHop(sshd)]).request);
    onTestFinished(() => transport.close());
    const channels = await Promise.all(Array.from({ length: 4 }, () => open(transport, to)));
    const heard = channels.map((channel) => listenTo(channel));
    await own.freeze();
    const held = new Set<Channel>();
    let accepted = 0;
    for (let round = 0; held.size < channels.length && round < 400; round += 1) {
      for (const channel of channels) {
        if (held.has(channel)) continue;
        if (!channel.write(Buffer.alloc(65_536))) held.add(channel);
        accepted += 65_536;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(held.size).toBe(4);
    expect(accepted).toBeLessThan(3_500_000); // the window's 2 MiB, 256 KiB of ours, and a chunk each

    await own.thaw();
    await eventually(() => heard.every((one) => one.events.includes('<drain>')), { what: 'every channel to go on' });
  });
});

describe('forwards of the server', () => {
  test('a port is chosen, connections come through with their origin, and cancelling ends it', async () => {
    const transport = await connected(1);
    const got: unknown[] = [];
    const bound = await transport.requestForward(
      { kind: 'tcp', host: 'localhost', port: 0 },
      (incoming) => {
        got.push(incoming.originator.address);
        const channel = incoming.accept();
        listenTo(channel);
        channel.write(Buffer.from('from here'));
        channel.end();
      },
      ALWAYS,
    );
    if (bound.kind !== 'tcp') throw new Error('Not a TCP port');
    expect(await readAll(bound.port)).toBe('from here');
    expect(got).toEqual(['127.0.0.1']);

    await transport.cancelForward(bound, ALWAYS);
    await expect(readAll(bound.port)).rejects.toThrow('ECONNREFUSED');
  });

  test('a connection in the same packet as the grant is not refused', async () => {
    const outcomes: string[] = [];
    await using server = await startScriptedServer({
      onConnection: (connection) =>
        connection.on('request', (accept) => {
          for (const socket of server.sockets) socket.cork();
          accept?.();
          connection.forwardOut('127.0.0.1', 4321, '127.0.0.1', 1, (error) => outcomes.push(error?.message ?? 'open'));
          for (const socket of server.sockets) socket.uncork();
        }),
    });
    const knownHosts = join(home.dir, 'granted');
    await writeFile(knownHosts, server.knownHosts);
    const hop = aHop({ host: '127.0.0.1', port: server.port, hostKeyName: '127.0.0.1', knownHosts: [knownHosts] });
    const transport = await aDial()(aRequest([hop], { password: ['x'] }).request);
    onTestFinished(() => transport.close());

    await transport.requestForward(
      { kind: 'tcp', host: '127.0.0.1', port: 4321 },
      (incoming) => void incoming.accept(),
      ALWAYS,
    );

    await eventually(() => outcomes.length > 0);
    expect(outcomes).toEqual(['open']);
  });

  test('a taken port is refused with all the causes there may be', async () => {
    const { port } = await target(() => undefined);
    const asked = (await connected(1)).requestForward(
      { kind: 'tcp', host: '127.0.0.1', port },
      () => undefined,
      ALWAYS,
    );
    await expect(asked).rejects.toMatchObject({ code: 'FORWARD_REFUSED' });
  });

  test('a Unix socket works too, and a refused connection is closed', async () => {
    const path = join(home.dir, 'listen.sock');
    const transport = await connected(1);
    await transport.requestForward({ kind: 'unix', path }, (incoming) => incoming.refuse(), ALWAYS);
    expect(existsSync(path)).toBe(true);
    expect(await readAll(path)).toBe('');
  });
});

describe('key exchanges', () => {
  test(
    'the server asks for many under load: the answered host-key question does not break them',
    { timeout: 40_000 },
    async () => {
      const own = await startSshd({ config: ['RekeyLimit 1M'] });
      onTestFinished(() => own.stop());
      const file = join(home.dir, 'asked');
      const { request } = aRequest([sshdHop(own, { knownHosts: [file] })], { 'host-key': ['yes'] });
      const transport = await aDial()(request);
      onTestFinished(() => transport.close());
      await echoes(transport, 12_000_000);
    },
  );

  test('we ask for them too, by volume, through two hops', { timeout: 40_000 }, async () => {
    const transport = await connected(2, { rekey: { bytes: 1_000_000, everyMs: null } });
    await echoes(transport, 12_000_000);
  });

  test('compressed data survives them', { timeout: 40_000 }, async () => {
    const own = await startSshd({ config: ['RekeyLimit 1M'] });
    onTestFinished(() => own.stop());
    const transport = await connected(1, { compression: true }, own);
    await echoes(transport, 6_000_000);
  });

  test('a host key that changes inside a connection ends it', async () => {
    const [first, second] = [makeKeyPair('first'), makeKeyPair('second')];
    await using server = await startScriptedServer({ hostKey: first });
    const file = join(home.dir, 'two-faced');
    await writeFile(file, `${server.knownHosts}[127.0.0.1]:${server.port} ${second.public}\n`); // both would be fine at first
    const transport = await aDial()(aRequest([aHop({ port: server.port, knownHosts: [file] })]).request);
    const closed = new Promise((resolve) => transport.onClosed(resolve));

    const connection = server.connections[0];
    if (connection === undefined) throw new Error('Nobody is connected');
    swapHostKey(connection, second.private);
    connection.rekey();

    expect(await closed).toMatchObject({ code: 'HOST_KEY_CHANGED' });
  });
});

test('text of a server that refuses a channel is cleaned', async () => {
  await using server = await startScriptedServer({
    onConnection: (connection) => {
      connection.on('tcpip', (_accept, reject) => reject());
    },
  });
  const file = join(home.dir, 'known');
  await writeFile(file, server.knownHosts);
  const transport = await aDial()(aRequest([aHop({ port: server.port, knownHosts: [file] })]).request);
  onTestFinished(() => transport.close());
  await expect(open(transport, { kind: 'tcp', host: 'x', port: 1 })).rejects.toMatchObject({
    code: 'TARGET_REFUSED',
    message: `Cannot reach x:1 from tester@127.0.0.1:${server.port}: connect failed: open failed`,
  });
});

test('a channel that the server opens unasked is refused', async () => {
  await using server = await startScriptedServer();
  const file = join(home.dir, 'known-unasked');
  await writeFile(file, server.knownHosts);
  const transport = await aDial()(aRequest([aHop({ port: server.port, knownHosts: [file] })]).request);
  onTestFinished(() => transport.close());
  const answer = await new Promise<Error | ServerChannel | undefined>((resolve) => {
    server.connections[0]?.forwardOut('localhost', 1, '127.0.0.1', 2, (error, channel) => resolve(error ?? channel));
  });
  expect(answer).toBeInstanceOf(Error);
  expect(await transport.ping()).toBeGreaterThan(0);
});

async function echoes(transport: Transport, bytes: number): Promise<void> {
  const to = await target((socket) => socket.pipe(socket));
  const channel = await open(transport, to);
  const heard = listenTo(channel);
  await send(channel, heard, randomBytes(bytes));
  expect(await heard.closed).toBeUndefined();
  expect(heard.bytes()).toBe(bytes);
}

function readAll(where: number | string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = typeof where === 'number' ? connect(where, '127.0.0.1') : connect(where);
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    socket.on('error', reject).on('close', () => resolve(text));
  });
}

/** Gives a connection of ssh2's server another host key for its next key exchange. */
function swapHostKey(connection: object, privateKey: string): void {
  const protocol: unknown = Reflect.get(connection, '_protocol');
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error || typeof protocol !== 'object' || protocol === null) throw new Error('No such server');
  const hostKeys: unknown = Reflect.get(protocol, '_hostKeys');
  if (typeof hostKeys !== 'object' || hostKeys === null) throw new Error('No such server');
  Reflect.set(hostKeys, 'ssh-ed25519', key);
}

/** Asks and waits for so many bytes. @returns how many milliseconds they took */
function asker(channel: Channel): (question: string, bytes: number) => Promise<number> {
  let missing = 0;
  let answered = (): void => undefined;
  channel.attach({
    data: (chunk) => {
      missing -= chunk.length;
      if (missing <= 0) answered();
    },
    end: () => undefined,
    drain: () => undefined,
    closed: () => undefined,
  });
  return async (question, bytes) => {
    const startedMs = performance.now();
    missing = bytes;
    await new Promise<void>((resolve) => {
      answered = resolve;
      channel.write(Buffer.from(question));
    });
    return performance.now() - startedMs;
  };
}

/**
 * How long something takes that is done again and again: the median of six, after four. Where a busy machine made it slow, it is done six
 * times more, a few times: what waits for the kernel does so each time.
 */
async function usualMs(work: () => Promise<number>): Promise<number> {
  for (let first = 0; first < 4; first += 1) await work();
  let best = Infinity;
  for (let tries = 0; tries < 5 && best >= 30; tries += 1) {
    const tookMs: number[] = [];
    for (let round = 0; round < 6; round += 1) tookMs.push(await work());
    best = Math.min(best, median(tookMs));
  }
  return best;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? NaN;
}
