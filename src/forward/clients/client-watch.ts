import type { Socket } from 'node:net';

/** What a client does while it waits for its channel. */
export interface HeldClient {
  /** It has ended its direction without having sent a byte: it may have given up, or only wants to listen. */
  silentEnd(): void;
  /** Its connection is gone. */
  gone(): void;
}

/**
 * Watches an accepted socket that nobody reads yet. The socket reads ahead into its own buffer, up to its mark, since an
 * end or a reset is seen only by reading; whoever lets it flow later gets every byte. @returns how to stop
 */
export function watchHeldClient(socket: Socket, held: HeldClient): () => void {
  const ended = (): void => held.silentEnd(); // with a byte in the buffer, 'end' would wait for its reader
  const closed = (): void => held.gone();
  socket.on('end', ended);
  socket.on('close', closed);
  socket.read(0);
  return () => {
    socket.off('end', ended);
    socket.off('close', closed);
  };
}
