import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { dialSocket } from '../../src/ssh/dial-socket.ts';
import { eventually, observes } from '../support/eventually.ts';
import { ALWAYS, failureOf } from '../support/ssh-dial.ts';
import { freePort } from '../support/sshd.ts';
import { stalled } from '../support/stalled.ts';

/** Listens on a loopback address, at a given port or a free one. @returns the port, and who came */
async function listener(host: string, port = 0) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.resume().on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

const dial = (addresses: readonly string[], port: number, signal = ALWAYS) =>
  dialSocket({ host: 'mail', port, addressFamily: 'any', bindAddress: null }, 'mail', signal, {
    resolver: () => Promise.resolve(addresses.map((address) => ({ address, family: 4 }))),
  });

test('an address that does not answer is passed by after 250 ms, and nothing is left of it', async () => {
  const { port } = await stalled('127.0.0.2');
  await listener('127.0.0.3', port);
  let shortestMs = Infinity;
  for (let tries = 0; tries < 3 && shortestMs >= 1_000; tries += 1) {
    const startedMs = performance.now(); // again, where a busy machine made it slow
    const socket = await dial(['127.0.0.2', '127.0.0.3'], port);
    onTestFinished(() => void socket.destroy());
    shortestMs = Math.min(shortestMs, performance.now() - startedMs);
    expect(socket.remoteAddress).toBe('127.0.0.3');
    expect(shortestMs).toBeGreaterThan(240);
  }
  expect(shortestMs).toBeLessThan(1_000);
});

test('an address that refuses is passed by at once', async () => {
  const { port } = await listener('127.0.0.3');
  vi.useFakeTimers({ toFake: ['setTimeout'] }); // no time passes
  onTestFinished(() => void vi.useRealTimers());
  const socket = await dial(['127.0.0.2', '127.0.0.3'], port);
  onTestFinished(() => void socket.destroy());
  expect(socket.remoteAddress).toBe('127.0.0.3');
});

test('a slow address is not given up while no other has won, however long it takes', async () => {
  const { port, release } = await stalled('127.0.0.2');
  let ended = false;
  const dialled = dial(['127.0.0.2', '127.0.0.3', '127.0.0.4'], port).finally(() => (ended = true)); // nobody listens on the others
  await observes(500, () => ended, 'an end before the slow one has answered');
  release();
  const socket = await dialled;
  onTestFinished(() => void socket.destroy());
  expect(socket.remoteAddress).toBe('127.0.0.2');
});

test('when all fail, each is named', async () => {
  const port = await freePort();
  const failure = await failureOf(dial(['127.0.0.2', '127.0.0.3'], port));
  expect([failure.code, failure.message]).toEqual([
    'CONNECT_REFUSED',
    `Cannot connect to mail: connection refused (127.0.0.2 port ${port}, 127.0.0.3 port ${port})`,
  ]);
});

test('a bind address is used, and one that the machine lacks is named as the cause', async () => {
  const { port, sockets } = await listener('127.0.0.1');
  const from = (bindAddress: string) =>
    dialSocket({ host: '127.0.0.1', port, addressFamily: 'inet', bindAddress }, 'mail', ALWAYS);
  const socket = await from('127.0.0.9');
  onTestFinished(() => void socket.destroy());
  await eventually(() => sockets[0]?.remoteAddress === '127.0.0.9');
  const failure = await failureOf(from('192.0.2.7'));
  expect([failure.code, failure.hint]).toEqual(['UNREACHABLE', expect.stringContaining('bindAddress')]);
  expect(await failureOf(from('::1'))).toMatchObject({ code: 'UNREACHABLE' });
});

test('an address of a kind that AddressFamily does not want is not dialled', async () => {
  const { port, sockets } = await listener('127.0.0.1');
  const target = { host: '127.0.0.1', port, addressFamily: 'inet6', bindAddress: null } as const;
  const failure = await failureOf(dialSocket(target, 'mail', ALWAYS));
  expect([failure.code, sockets.length]).toEqual(['NAME_UNRESOLVED', 0]);
});

test('being called off rejects at once and leaves no socket', async () => {
  const { port } = await stalled('127.0.0.2');
  const abort = new AbortController();
  const dialled = dial(['127.0.0.2'], port, abort.signal);
  abort.abort(new Error('called off'));
  await expect(dialled).rejects.toThrow('called off');
  await expect(dial(['127.0.0.2'], port, abort.signal)).rejects.toThrow('called off');
});
