import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bindTogether, listen, type Listener, type ListenerOptions } from '../../src/forward/listen/listener.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { ListeningSockets } from '../../src/forward/listen/listening-sockets.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/sshd.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';
import { unhurriedSearch } from '../support/unhurried.ts';

const open: Listener[] = [];
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnel-'));
});
afterEach(async () => {
  for (const listener of open.splice(0)) listener.close();
  await rm(folder, { recursive: true });
});

function options(bind: Endpoint, more: Partial<ListenerOptions> = {}): ListenerOptions {
  const ignore = (): void => undefined;
  const onSocket = (socket: Socket): void => void (echo(socket), socket.on('error', ignore));
  return { bind, nameHolder: true, onSocket, onAcceptError: ignore, onNote: ignore, ...more };
}

async function listening(bind: Endpoint, more?: Partial<ListenerOptions>): Promise<Listener> {
  const listener = await listen(options(bind, more));
  open.push(listener);
  return listener;
}

async function refusal(bind: Endpoint, more?: Partial<ListenerOptions>): Promise<TunnelError> {
  const thrown: unknown = await listening(bind, more).catch((error: unknown) => error);
  if (!(thrown instanceof TunnelError)) throw new Error(`Expected a refusal, got ${String(thrown)}`);
  return thrown;
}

const tcp = (host: string, port = 0): Endpoint => ({ kind: 'tcp', host, port });
const portOf = ({ bound }: Listener): number => (bound.kind === 'tcp' ? bound.port : 0);
const said = async (socket: Socket, text: string): Promise<string> => {
  socket.end(text);
  return (await transcript(socket)).text;
};

describe('a listener on localhost', () => {
  test('answers at 127.0.0.1 and at ::1, on one port that was free on both', async () => {
    const listener = await listening(tcp('localhost'));
    const port = portOf(listener);
    expect(listener.bound).toEqual(tcp('localhost', port));
    expect(await said(await client(port, '127.0.0.1'), 'four')).toBe('four');
    expect(await said(await client(port, '::1'), 'six')).toBe('six');
  });

  test('is bound on both addresses or on none', async () => {
    await using other = await TcpTarget.start(echo, '::1', await freePort()); // free at 127.0.0.1, too
    const refused = await refusal(tcp('localhost', other.port));
    expect(refused.code).toBe('BIND_IN_USE');
    expect(refused.message).toContain(`bind [::1]:${other.port}: Address already in use`);
    await using here = await TcpTarget.start(echo, '127.0.0.1', other.port);
    expect(here.port).toBe(other.port);
  });

  test('leaves out an address that the machine lacks, and says so', async () => {
    const notes: string[] = [];
    const addresses = [
      { host: '127.0.0.1', optional: true },
      { host: '2001:db8::1', optional: true },
    ];
    const servers = await bindTogether(addresses, 0, options(tcp('localhost'), { onNote: (note) => notes.push(note) }));
    if ('code' in servers) throw new Error(`Refused: ${servers.code}`);
    for (const server of servers) server.close();
    expect(servers).toHaveLength(1);
    expect(notes).toEqual(['2001:db8::1 is left out: this machine does not have that address']);
  });

  test('frees its port at once while an accepted connection lives on', async () => {
    const listener = await listening(tcp('localhost'));
    const port = portOf(listener);
    const held = await client(port);
    const answered = once(held, 'data');
    held.write('first');
    await answered;
    listener.close();
    await using again = await TcpTarget.start(echo, '127.0.0.1', port);
    expect(again.port).toBe(port);
    expect(await said(held, 'second')).toBe('second');
  });
});

describe('a listener', () => {
  test('on * answers in both families', async () => {
    const port = portOf(await listening(tcp('*')));
    expect(await said(await client(port, '127.0.0.1'), 'four')).toBe('four');
    expect(await said(await client(port, '::1'), 'six')).toBe('six');
  });

  test('hands over every byte, also those that came before anybody read', async () => {
    let accepted: (socket: Socket) => void = () => undefined;
    const arrival = new Promise<Socket>((resolve) => (accepted = resolve));
    const port = portOf(await listening(tcp('127.0.0.1'), { onSocket: accepted }));
    const near = await client(port);
    near.end('early bytes');
    const socket = await arrival;
    await new Promise((resolve) => setImmediate(resolve));
    const seen = transcript(socket);
    socket.resume();
    expect(await seen).toEqual({ text: 'early bytes', end: 'FIN' });
    socket.destroy();
  });

  test('without a port of its own takes the one of last time', async () => {
    const before = await listening(tcp('localhost'));
    before.close();
    const again = await listening(tcp('localhost'), { preferredPort: portOf(before) });
    expect(portOf(again)).toBe(portOf(before));
  });

  test('takes another port where the one of last time is in use, and says which and why', async () => {
    await using other = await TcpTarget.start(echo);
    const notes: string[] = [];
    const listener = await listening(tcp('localhost'), {
      preferredPort: other.port,
      onNote: (note) => notes.push(note),
    });
    expect(portOf(listener)).not.toBe(other.port);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain(`Port ${other.port} cannot be kept, localhost:${portOf(listener)} is bound instead`);
  });

  test('never shares a port with another listener of ours', async () => {
    unhurriedSearch();
    const port = portOf(await listening(tcp('127.0.0.1')));
    const refused = await refusal(tcp('localhost', port));
    expect(refused.facts).toMatchObject({
      code: 'BIND_IN_USE',
      message: `Cannot bind localhost:${port}: bind [127.0.0.1]:${port}: Address already in use (held by this process itself)`,
      exit: 6,
    });
  });

  test.each([
    ['127.0.0.1', '127.0.0.1', 'web', 'or stop the other with `tunnel down web`.'],
    ['*', 'localhost', 'web', 'or stop the other with `tunnel down web`.'],
    ['127.0.0.1', '*', 'mail', 'Give one of them another port.'],
  ])(
    'at %s that wants the port of one at %s names the forward and tunnel that has it',
    async (want, has, tunnel, end) => {
      unhurriedSearch();
      const sockets = new ListeningSockets();
      const holder = await listening(tcp(has), { sockets: sockets.ownedBy({ tunnel, forward: 'http' }) });
      const asking = sockets.ownedBy({ tunnel: 'mail', forward: 'pop' });
      const port = portOf(holder);
      const { code, message, hint } = await refusal(tcp(want, port), { sockets: asking });
      expect([code, message.slice(message.indexOf('Address'))]).toEqual([
        'BIND_IN_USE',
        `Address already in use (held by the forward http of ${tunnel})`,
      ]);
      expect(hint.endsWith(end)).toBe(true);

      holder.close();
      await using stranger = await TcpTarget.start(echo, '127.0.0.1', port);
      const later = await refusal(tcp(want, stranger.port), { sockets: asking });
      expect(later.message).toContain('held by this process itself'); // the forward that had it has let go of it
    },
  );

  test('does not take one of our own at :: for the one that has its port at 127.0.0.1', async () => {
    unhurriedSearch();
    const sockets = new ListeningSockets();
    const six = await listening(tcp('::', await freePort()), {
      sockets: sockets.ownedBy({ tunnel: 'web', forward: 'http' }),
    });
    await using stranger = await TcpTarget.start(echo, '127.0.0.1', portOf(six));
    const asking = sockets.ownedBy({ tunnel: 'mail', forward: 'pop' });
    const refused = await refusal(tcp('127.0.0.1', stranger.port), { sockets: asking });
    expect(refused.message).toContain('(held by this process itself)');
  });

  test('names the program that holds its port, within a second', { timeout: 20_000 }, async () => {
    const program = `require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })`;
    const holder = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [line] = (await once(holder.stdout, 'data')) as [Buffer];
      // Both in one try; a busy machine may need several.
      const named = async (): Promise<true> => {
        const began = performance.now();
        const refused = await refusal(tcp('localhost', Number(line)));
        const tookMs = performance.now() - began;
        expect(refused.message).toContain(`(held by ${basename(process.execPath)} (pid ${holder.pid}))`);
        expect(tookMs).toBeLessThan(1_000);
        return true;
      };
      await eventually(named, { withinMs: 15_000 });
    } finally {
      holder.kill();
    }
  });

  test('says that the machine does not have an address', async () => {
    const refused = await refusal(tcp('192.0.2.1', 8080));
    expect(refused.facts).toMatchObject({
      code: 'BIND_UNAVAILABLE',
      message: 'Cannot bind 192.0.2.1:8080: bind [192.0.2.1]:8080: Cannot assign requested address',
    });
  });

  test('says that a name has no address', async () => {
    expect((await refusal(tcp('no..where', 8080))).code).toBe('BIND_UNAVAILABLE');
  });

  test(
    'out of file descriptors, lets a client go at once and serves again when there are some',
    { timeout: 30_000 },
    async () => {
      const line = `ulimit -n 120; exec "$0" --import tsx test/support/starved-listener.ts`;
      const starved = spawn('sh', ['-c', line, process.execPath], { stdio: ['pipe', 'pipe', 'inherit'] });
      try {
        const lines = createInterface(starved.stdout)[Symbol.asyncIterator]();
        const next = async (): Promise<string> => String((await lines.next()).value);
        const port = Number(await next());
        // A loader's thread may have freed a descriptor or two since: of a dozen, some find none.
        const clients = await Promise.all(Array.from({ length: 12 }, () => client(port)));
        expect((await Promise.race(clients.map(transcript))).end).toBe('FIN');
        for (const one of clients) one.destroy();
        starved.stdin.write('x');
        expect(await next()).toBe('fed');
        expect(await said(await client(port), 'served')).toBe('served');
      } finally {
        starved.kill();
      }
    },
  );
});

test('an error of accept is told, and ends nothing', async () => {
  const errors: string[] = [];
  const onAcceptError = ({ code }: NodeJS.ErrnoException): void => void errors.push(code ?? '');
  const servers = await bindTogether(
    [{ host: '127.0.0.1', optional: false }],
    0,
    options(tcp('127.0.0.1'), { onAcceptError }),
  );
  if ('code' in servers) throw new Error(`Refused: ${servers.code}`);
  for (const server of servers) server.emit('error', Object.assign(new Error('accept ENFILE'), { code: 'ENFILE' }));
  expect({ errors, listening: servers.map(({ listening }) => listening) }).toEqual({
    errors: ['ENFILE'],
    listening: [true],
  });
  for (const server of servers) server.close();
});

describe('a listener on a unix socket', () => {
  const at = (path: string): Endpoint => ({ kind: 'unix', path });
  const talk = async (path: string): Promise<string> => {
    const socket = connect({ path, allowHalfOpen: true });
    return said(socket, 'hello');
  };

  test('lets nobody but its owner connect, and is gone when it closes', async () => {
    const path = join(folder, 'a.sock');
    const listener = await listening(at(path));
    expect((await lstat(path)).mode & 0o777).toBe(0o600);
    expect(await talk(path)).toBe('hello');
    listener.close();
    await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('replaces the file that a killed program left behind', async () => {
    const path = join(folder, 'stale.sock');
    const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('on'))`;
    const holder = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect((await lstat(path)).isSocket()).toBe(true);
    await listening(at(path));
    expect(await talk(path)).toBe('hello');
  });

  test('leaves a live one to its holder and names it, the forward where it is one of ours', async () => {
    unhurriedSearch();
    const path = join(folder, 'live.sock');
    const sockets = new ListeningSockets();
    await listening(at(path), { sockets: sockets.ownedBy({ tunnel: 'db', forward: 'pg' }) });
    const ours = await refusal(at(path), { sockets: sockets.ownedBy({ tunnel: 'app', forward: 'pg' }) });
    expect([ours.code, ours.hint]).toEqual([
      'BIND_IN_USE',
      'Give one of them another path, or stop the other with `tunnel down db`.',
    ]);
    expect(ours.message).toContain('(held by the forward pg of db)');
    const refused = await refusal(at(path));
    expect(refused.facts).toMatchObject({
      code: 'BIND_IN_USE',
      message: `Cannot bind unix:${path}: unix_listener: cannot bind to path ${path}: Address already in use (held by this process itself)`,
    });
    expect(await talk(path)).toBe('hello');
  });

  test('never removes a file that is no socket', async () => {
    const path = join(folder, 'letter.txt');
    await writeFile(path, 'dear reader');
    expect((await refusal(at(path))).code).toBe('BIND_IN_USE');
    expect(await readFile(path, 'utf8')).toBe('dear reader');
  });

  test('refuses a path that the system would cut', async () => {
    const refused = await refusal(at(join(folder, 'x'.repeat(120))));
    expect(refused.code).toBe('BIND_UNAVAILABLE');
    expect(refused.message).toContain('File name too long');
  });

  test('says that the folder is missing', async () => {
    const refused = await refusal(at(join(folder, 'none', 'a.sock')));
    expect(refused.code).toBe('BIND_UNAVAILABLE');
    expect(refused.message).toContain('No such file or directory');
  });
});
