import type { Socket } from 'node:net';

/**
 * Cuts a socket so that the other side learns it was cut: RST on TCP; a unix socket knows no reset and is just closed.
 * Safe to call on a socket that is gone.
 */
export function resetOrDestroy(socket: Socket): void {
  if (socket.destroyed) return;
  // Without a peer's family it is no TCP socket, or its peer has reset it already: resetAndDestroy would throw for the one.
  if (socket.remoteFamily === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
