import type { Socket } from 'node:net';

/** A client while its target is negotiated. What was read and not needed is given back, for whoever carries its bytes next. */
export interface Parley {
  /** The next bytes; null at the client's end. Rejects with the signal's reason. One call at a time. */
  read(signal: AbortSignal): Promise<Buffer | null>;
  /** The first bytes that its target gets. */
  unread(bytes: Buffer): void;
  write(bytes: Buffer): unknown;
}

/** The parley with a socket that nobody else reads meanwhile. It owns nothing. */
export class SocketParley implements Parley {
  /** Read and given back: a stream that has ended takes nothing back itself. */
  rest: Buffer | undefined;
  /** The client was told something: it should get to read it. */
  spoken = false;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  read(signal: AbortSignal): Promise<Buffer | null> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        for (const event of ['readable', 'end', 'close']) socket.off(event, look);
        signal.removeEventListener('abort', aborted);
      };
      const aborted = (): void => {
        settle();
        reject(signal.reason as Error);
      };
      const look = (): void => {
        const chunk: unknown = socket.read();
        if (!Buffer.isBuffer(chunk) && !socket.readableEnded && !socket.destroyed) return;
        settle();
        resolve(Buffer.isBuffer(chunk) ? chunk : null);
      };
      if (signal.aborted) return reject(signal.reason as Error);
      signal.addEventListener('abort', aborted, { once: true });
      for (const event of ['readable', 'end', 'close']) socket.on(event, look);
      look();
    });
  }

  unread(bytes: Buffer): void {
    if (bytes.length > 0) this.rest = bytes;
  }

  write(bytes: Buffer): void {
    if (bytes.length === 0 || this.#socket.destroyed) return;
    this.spoken = true;
    this.#socket.write(bytes);
  }
}
