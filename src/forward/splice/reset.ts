import type { Socket } from 'node:net';

/**
 * Cuts a socket so that the other side learns it was cut: RST on TCP; a unix socket knows no reset and is just closed.
 * Safe to call on a socket that is gone.
 */
export function resetOrDestroy(socket: Socket): void {
  if (socket.destroyed) return;
  // Without a peer's family it is no TCP socket, or its peer has reset it already: resetAndDestroy would throw for the one.
  if (socket.remoteFamily === undefined) socket.destroy();
  else if (isShuttingDown(socket)) socket.pause().once('finish', () => resetOrDestroy(socket));
  else socket.resetAndDestroy();
}

/**
 * Whether shutdown(2) of the socket's own side is under way, for a turn of the event loop. A reset then fails in libuv (EINVAL), and
 * Node neither closes the descriptor nor ever tells 'close' (seen on Node 20 and 24).
 */
function isShuttingDown({ writableEnded, writableFinished, writableLength }: Socket): boolean {
  return writableEnded && !writableFinished && writableLength === 0;
}
