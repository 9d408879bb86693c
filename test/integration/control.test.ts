import { chmod, mkdir, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectControl } from '../../src/control/client.ts';
import type { ControlHandlers, Peer } from '../../src/control/connection.ts';
import { PROTOCOL_VERSION } from '../../src/control/messages.ts';
import { serveControl, type ControlServer, type ServeControlOptions } from '../../src/control/server.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { StatusEvent, StatusSnapshot } from '../../src/model/status.ts';
import { eventually } from '../support/eventually.ts';

const identity = { version: '1.2.3', pid: 4711, startedAt: '2026-01-01T00:00:00.000Z' };
const snapshot: StatusSnapshot = { version: 1, supervisor: null, tunnels: [] };
const caller = { cwd: '/' };
const note = (message: string): StatusEvent => ({ event: 'note', at: 'now', tunnel: null, level: 'info', message });

const notCalled = (): never => {
  throw new Error('not part of this test');
};
const quiet: ControlHandlers = {
  up: notCalled,
  down: notCalled,
  restart: notCalled,
  reload: notCalled,
  status: () => snapshot,
  subscribe: notCalled,
  attend: notCalled,
  answer: notCalled,
  decline: notCalled,
  handOver: notCalled,
  stop: () => ({}),
};

let folder: string;
let socket: string;
let faults: TunnelError[];
const closers: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnel-control-'));
  socket = join(folder, 'run', 'supervisor.sock');
  faults = [];
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await rm(folder, { recursive: true });
});

async function serve(
  handlers: Partial<ControlHandlers> = {},
  rest: Partial<ServeControlOptions> = {},
): Promise<ControlServer> {
  const server = await serveControl({
    socket,
    prepareFolder: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
    identity,
    handlers: { ...quiet, ...handlers },
    onFault: (error) => faults.push(error),
    ...rest,
  });
  closers.push(() => server.close());
  return server;
}

/** A server that is not ours, at the socket's path. */
async function serveRaw(onSocket: (socket: Socket) => void): Promise<Server> {
  await mkdir(dirname(socket), { recursive: true, mode: 0o700 });
  const sockets = new Set<Socket>();
  const server = createServer((accepted) => {
    sockets.add(accepted.on('error', () => accepted.destroy()));
    onSocket(accepted);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  closers.push(() => {
    for (const each of sockets) each.destroy();
    server.close();
  });
  return server;
}

/** Sends these lines as they stand and collects what comes back until the server hangs up. */
async function rawTalk(...lines: readonly string[]): Promise<unknown[]> {
  const line = connect(socket);
  let text = '';
  line.on('data', (chunk: Buffer) => (text += chunk.toString()));
  line.on('error', () => undefined);
  for (const each of lines) line.write(each);
  await new Promise((resolve) => line.once('close', resolve));
  return text
    .split('\n')
    .filter((each) => each !== '')
    .map((each) => JSON.parse(each) as unknown);
}

const request = (id: number, method: string, params: object): string =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
const hello = (protocol: number): string => request(1, 'hello', { protocol, version: '9' });
function refusedFor(id: number | null, message: unknown): unknown {
  const data: unknown = expect.objectContaining({ code: 'PROTOCOL', message });
  const error: unknown = expect.objectContaining({ data });
  return expect.objectContaining({ id, error });
}

describe('the control socket', () => {
  test('is ours alone, in a folder that is ours alone', async () => {
    await serve();
    const [place, door] = await Promise.all([stat(dirname(socket)), stat(socket)]);
    expect([place.mode & 0o777, door.mode & 0o777]).toEqual([0o700, 0o600]);
  });

  test('is gone once the server is closed', async () => {
    const server = await serve();
    await server.close();
    await expect(stat(socket)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is not taken from a program that stands there already', async () => {
    await serve();
    await expect(serve()).rejects.toMatchObject({ code: 'SUPERVISOR_RUNNING' });
  });

  test('leaves open connections alone when it only stops listening', async () => {
    const server = await serve();
    const client = await connectControl(socket, '1.2.3');
    server.stopListening();
    await expect(client.call('status', {})).resolves.toEqual(snapshot);
    client.close();
  });
});

describe('a client', () => {
  test('learns who answers', async () => {
    await serve();
    const client = await connectControl(socket, '1.2.3');
    expect(client.supervisor).toEqual({ protocol: PROTOCOL_VERSION, ...identity });
    client.close();
    await expect(client.closed).resolves.toBeUndefined();
  });

  test('gets the error of a handler with its code, hint and problems', async () => {
    const error = new TunnelError('PROFILE_INVALID', 'Cannot read it', {
      hint: 'look',
      problems: [{ file: 'f', line: 1, column: 2, message: 'm' }],
    });
    await serve({ up: () => Promise.reject(error) });
    const client = await connectControl(socket, '1.2.3');
    const answer = await client.call('up', { select: { all: true }, caller, attend: false }).catch((e: unknown) => e);
    expect(answer).toBeInstanceOf(TunnelError);
    expect((answer as TunnelError).facts).toEqual(error.facts);
    client.close();
  });

  test('gets INTERNAL when a handler breaks, and the server is told and lives on', async () => {
    await serve({ answer: notCalled });
    const client = await connectControl(socket, '1.2.3');
    await expect(client.call('answer', { id: '1', answer: 'x' })).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(client.call('status', {})).resolves.toEqual(snapshot);
    expect(faults.map((fault) => fault.message)).toEqual(['not part of this test']);
    client.close();
  });

  test('is answered while an earlier request is still in work', async () => {
    let finish = (): void => undefined;
    const slow = new Promise<{ tunnels: string[] }>((resolve) => (finish = () => resolve({ tunnels: ['a'] })));
    await serve({ down: () => slow });
    const client = await connectControl(socket, '1.2.3');
    const down = client.call('down', { select: { all: true }, drainMs: 0, caller });
    await expect(client.call('status', {})).resolves.toEqual(snapshot);
    finish();
    await expect(down).resolves.toEqual({ tunnels: ['a'] });
    client.close();
  });

  test('gets the snapshot before the events that came with it', async () => {
    await serve({
      subscribe: (_params, peer) => {
        peer.notify('event', note('first'));
        queueMicrotask(() => peer.notify('event', note('second')));
        return snapshot;
      },
    });
    const client = await connectControl(socket, '1.2.3');
    const seen: unknown[] = [];
    client.on('event', (event) => seen.push(event));
    seen.push(await client.call('subscribe', {}));
    await eventually(() => seen.length === 3);
    expect(seen).toEqual([snapshot, note('first'), note('second')]);
    client.close();
  });

  test('that is lost aborts the signal its handlers hold', async () => {
    const peers: Peer[] = [];
    await serve({ attend: (_params, peer) => (peers.push(peer), { waiting: [] }) });
    const client = await connectControl(socket, '1.2.3');
    await client.call('attend', { names: null, caller });
    client.close();
    await eventually(() => peers[0]?.signal.aborted === true);
  });

  test('stops waiting when its signal says so', async () => {
    await serve({ down: () => new Promise(() => undefined) });
    const client = await connectControl(socket, '1.2.3');
    const stop = new AbortController();
    const down = client.call('down', { select: { all: true }, drainMs: 0, caller }, stop.signal);
    stop.abort(new TunnelError('INTERRUPTED', 'Interrupted'));
    await expect(down).rejects.toMatchObject({ code: 'INTERRUPTED' });
    client.close();
  });

  test('is told at once when the supervisor dies in the middle of a call', async () => {
    const server = await serveRaw((accepted) => {
      accepted.once('data', () => {
        accepted.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, result: { protocol: 1, ...identity } })}\n`);
        accepted.once('data', () => accepted.destroy());
      });
    });
    const client = await connectControl(socket, '1.2.3');
    await expect(client.call('status', {})).rejects.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
    await expect(client.closed).resolves.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
    await expect(client.call('status', {})).rejects.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
    server.close();
  });

  test('gives up a server that accepts and says nothing', async () => {
    await serveRaw(() => undefined);
    await expect(connectControl(socket, '1', { withinMs: 50 })).rejects.toMatchObject({
      code: 'SUPERVISOR_UNREACHABLE',
    });
  });

  test('gives up a server that speaks something else', async () => {
    await serveRaw((accepted) => accepted.write('220 ready\r\n'));
    await expect(connectControl(socket, '1')).rejects.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['that is not there', () => Promise.resolve()],
    ['in a folder that others may enter', () => serve().then(() => chmod(dirname(socket), 0o755))],
    [
      'whose folder is a link',
      async () => {
        await serve({}, { socket: join(folder, 'real', 'supervisor.sock') });
        await symlink(join(folder, 'real'), dirname(socket));
      },
    ],
    [
      'that is a link',
      async () => {
        await serve({}, { socket: join(folder, 'run', 'other.sock') });
        await symlink(join(folder, 'run', 'other.sock'), socket);
      },
    ],
    ['that is a folder', () => mkdir(socket, { recursive: true, mode: 0o700 })],
  ])('refuses a socket %s', async (_what, arrange) => {
    await arrange();
    await expect(connectControl(socket, '1')).rejects.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
  });
});

describe('another protocol', () => {
  test('is refused with words, and only stop is served', async () => {
    let stopped = false;
    const server = await serve({
      stop: () => {
        stopped = true;
        return {};
      },
    });
    const talk = rawTalk(hello(99), request(2, 'status', {}), request(3, 'stop', {}));
    await eventually(() => stopped);
    await server.close();
    const why = expect.stringContaining('protocol 1') as unknown;
    expect(await talk).toEqual([refusedFor(1, why), refusedFor(2, why), { jsonrpc: '2.0', id: 3, result: {} }]);
  });

  test('of the supervisor is an error, unless the client only wants to stop it', async () => {
    await serveRaw((accepted) => {
      accepted.on('data', (chunk: Buffer) => {
        const { id, method } = JSON.parse(chunk.toString()) as { id: number; method: string };
        const error = { code: -32000, message: 'm', data: { code: 'PROTOCOL', message: 'Cannot', hint: '', exit: 1 } };
        const rest = method === 'stop' ? { result: {} } : { error };
        accepted.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...rest })}\n`);
      });
    });
    await expect(connectControl(socket, '1')).rejects.toMatchObject({ code: 'PROTOCOL' });
    const client = await connectControl(socket, '1', { anyProtocol: true });
    expect(client.supervisor).toBeUndefined();
    await expect(client.call('stop', {})).resolves.toEqual({});
    client.close();
  });
});

describe('a hostile client', () => {
  test.each([
    ['no JSON', ['GET / HTTP/1.1\r\n'], null],
    ['a request before hello', [request(5, 'status', {})], 5],
    ['a message without end', [hello(PROTOCOL_VERSION), 'x'.repeat(1024 * 1024)], null],
  ] as const)('that sends %s is told why and hung up on', async (_what, lines, id) => {
    await serve();
    expect((await rawTalk(...lines)).at(-1)).toEqual(refusedFor(id, expect.stringContaining('Cannot serve')));
  });

  test('that never says hello is hung up on', async () => {
    await serve({}, { helloWithinMs: 30 });
    expect(await rawTalk()).toEqual([refusedFor(null, expect.stringContaining('no hello'))]);
  });

  test('that sends a wrong method or wrong parameters is answered and stays', async () => {
    const server = await serve();
    const talk = rawTalk(
      hello(PROTOCOL_VERSION),
      request(2, 'nonsense', {}),
      request(3, 'answer', {}),
      request(4, 'status', {}),
    );
    await eventually(async () => await connectControl(socket, '1').then((c) => (c.close(), true)));
    await server.close();
    expect((await talk).slice(1)).toEqual([
      refusedFor(2, expect.anything()),
      refusedFor(3, expect.anything()),
      { jsonrpc: '2.0', id: 4, result: snapshot },
    ]);
  });

  test('that subscribes and does not read is dropped at the cap', async () => {
    const peers: Peer[] = [];
    await serve({ subscribe: (_params, peer) => (peers.push(peer), snapshot) }, { maxQueuedBytes: 256 * 1024 });
    const line = connect(socket);
    line.on('error', () => undefined);
    line.pause();
    line.write(hello(PROTOCOL_VERSION));
    line.write(request(2, 'subscribe', {}));
    const peer = await eventually(() => peers[0]);
    const words = 'x'.repeat(10_000);
    for (let sent = 0; sent < 200; sent += 1) peer.notify('event', note(words));
    await eventually(() => peer.signal.aborted);
    line.destroy();
  });

  test('that sends a thousand requests at once has each of them answered, a few at a time', async () => {
    let most = 0;
    let inWork = 0;
    const handler: ControlHandlers['down'] = async () => {
      most = Math.max(most, ++inWork);
      await new Promise((resolve) => setImmediate(resolve));
      inWork -= 1;
      return { tunnels: [] };
    };
    await serve({ down: handler });
    const client = await connectControl(socket, '1');
    const all = Array.from({ length: 1000 }, () => client.call('down', { select: { all: true }, drainMs: 0, caller }));
    expect((await Promise.all(all)).length).toBe(1000);
    expect(most).toBe(32);
    client.close();
  });
});
