import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { eventually, observes } from '../support/eventually.ts';
import { startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const MIB = 1024 * 1024;

/** A tunnel that is up, to a service of the test's own. */
async function stage(onSocket: (socket: Socket) => void) {
  const target = await TcpTarget.start(onSocket);
  const sshd = await startSshd({ config: ['LogLevel ERROR'] });
  const cli = await tunnelCli();
  const forwards = `forwards:\n  - 127.0.0.1:auto -> 127.0.0.1:${target.port}\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}limits: { connections: 1024, perClient: 1024 }\n${forwards}`);
  await cli.ok('up', 't');
  return {
    cli,
    target,
    port: await cli.port('t'),
    pid: await cli.supervisorPid(),
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}

test('a slow reader of 200 MB costs the supervisor less than 64 MB', { timeout: 60_000 }, async () => {
  const chunk = Buffer.alloc(MIB, 'x');
  await using on = await stage((socket) => flood(socket, chunk, 200));
  await ask(on.port, ''); // warms the path up: what a first connection loads is not what this test is about
  const before = await residentBytes(on.pid);

  const socket = connect(on.port, '127.0.0.1');
  socket.pause();
  let peak = 0;
  await observes(
    3_000,
    () => {
      void residentBytes(on.pid).then((bytes) => (peak = Math.max(peak, bytes)));
      return false;
    },
    'nothing',
  );
  let received = 0;
  socket.on('data', (part: Buffer) => (received += part.length));
  socket.resume();
  await once(socket, 'end');
  socket.destroy();

  expect(received).toBe(200 * MIB);
  expect(peak - before).toBeLessThan(64 * MIB);
});

test(
  '100 clients that read nothing cost little each, and give it all back when they vanish',
  { timeout: 90_000 },
  async () => {
    const chunk = Buffer.alloc(MIB, 'x');
    await using on = await stage((socket) => flood(socket, chunk, 100));
    await ask(on.port, '');
    const before = await residentBytes(on.pid);

    for (let round = 0; round < 2; round += 1) {
      const during = await burst(on);
      expect((during - before) / 100).toBeLessThan(4 * MIB);
      // The collector is asked some seconds after the last has gone, more than once (docs/decisions/0010).
      const after = async (): Promise<boolean> => (await residentBytes(on.pid)) - before < 64 * MIB;
      await eventually(after, { withinMs: 25_000, what: 'the memory to come back' });
    }
  },
);

/** 100 clients come, read nothing, and vanish. @returns the supervisor's resident bytes while they were there */
async function burst(on: { cli: TunnelCli; port: number; pid: number }): Promise<number> {
  const clients = await Promise.all(Array.from({ length: 100 }, () => openPaused(on.port)));
  await eventually(async () => (await on.cli.status('t')).forwards[0]?.openConnections === 100, { withinMs: 20_000 });
  await observes(2_000, () => false, 'nothing: the windows fill');
  const during = await residentBytes(on.pid);
  for (const socket of clients) socket.resetAndDestroy();
  await eventually(async () => (await on.cli.status('t')).forwards[0]?.openConnections === 0, { withinMs: 20_000 });
  return during;
}

test('500 connections at once are all served', { timeout: 60_000 }, async () => {
  await using on = await stage(echo);

  const answers = await Promise.all(Array.from({ length: 500 }, (_, index) => ask(on.port, `client ${index}`)));

  expect(answers).toEqual(Array.from({ length: 500 }, (_, index) => `client ${index}`));
  const forward = await eventually(
    async () => {
      const [one] = (await on.cli.status('t')).forwards;
      return one?.openConnections === 0 ? one : undefined; // a moment after the clients have gone
    },
    { withinMs: 20_000 },
  );
  expect(forward.totalConnections).toBe(500);
});

test('a connection that is half closed goes on in the other direction, whichever side ended first', async () => {
  await using on = await stage((socket) => {
    socket.write('greeting\n');
    socket.once('data', (asked: Buffer) => {
      if (asked.toString() !== 'you first\n') return;
      socket.end('the target ends\n'); // and goes on reading
      socket.on('data', (late: Buffer) => on.late.push(late.toString()));
    });
    socket.once('end', () => socket.end('after your end\n'));
  }).then((made) => Object.assign(made, { late: new Array<string>() }));

  const clientFirst = await ask(on.port, 'I end first\n');
  const socket = connect({ port: on.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.resume().write('you first\n');
  await once(socket, 'end');
  socket.end('still sending\n');
  await eventually(() => on.late.join('') === 'still sending\n');

  expect(clientFirst).toBe('greeting\nafter your end\n');
});

function flood(socket: Socket, chunk: Buffer, times: number): void {
  for (let left = times; left > 0; left -= 1) {
    if (socket.write(chunk)) continue;
    socket.once('drain', () => flood(socket, chunk, left - 1));
    return;
  }
  socket.end();
}

async function openPaused(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  await once(socket, 'connect');
  return socket;
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
