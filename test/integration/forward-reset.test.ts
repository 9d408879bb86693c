import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { resetOrDestroy } from '../../src/forward/splice/reset.ts';
import { client, TcpTarget } from '../support/tcp-target.ts';

// A reset that fails leaves the descriptor open for good, and nobody is told 'close'.
test.each([
  ['right after its own side was ended', (socket: Socket) => void socket.end('last words')],
  ['while bytes wait for a peer that does not read', (socket: Socket) => void socket.end(Buffer.alloc(20_000_000))],
  ['that nothing was written to', () => undefined],
])('a connection that is cut %s gives its descriptor back', async (_when, prepare) => {
  await using target = await TcpTarget.start(() => undefined);
  const accepted = target.next();
  const peer = await client(target.port);
  const socket = await accepted;
  const errors: unknown[] = [];
  socket.on('error', (error) => errors.push(error));
  const closed = once(socket, 'close');

  prepare(socket);
  resetOrDestroy(socket);

  await closed;
  expect(errors).toEqual([]);
  peer.destroy();
});
