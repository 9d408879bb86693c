import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TcpEndpoint } from '../../src/model/endpoint.ts';

/** A service on a free loopback port; `onSocket` has half-open ends. The caller closes it: `await using`. */
export class TcpTarget {
  readonly sockets = new Set<Socket>();
  /** Connections so far. */
  accepted = 0;
  readonly #server: Server;

  constructor(onSocket: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.accepted += 1;
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
      onSocket(socket);
    });
  }

  static async start(onSocket: (socket: Socket) => void, host = '127.0.0.1', port = 0): Promise<TcpTarget> {
    const target = new TcpTarget(onSocket);
    target.#server.listen(port, host);
    await once(target.#server, 'listening');
    return target;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  get endpoint(): TcpEndpoint {
    return { kind: 'tcp', host: '127.0.0.1', port: this.port };
  }

  /** The next connection; ask before it is made. */
  async next(): Promise<Socket> {
    const [socket] = (await once(this.#server, 'connection')) as [Socket];
    return socket;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Sends back what it gets, and ends when the client ends. */
export const echo = (socket: Socket): void => void socket.pipe(socket);

/** A connected client with half-open ends; errors are kept quiet, `transcript` tells them. */
export async function client(port: number, host = '127.0.0.1', localAddress?: string): Promise<Socket> {
  const from = localAddress === undefined ? {} : { localAddress };
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true, ...from });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** How a socket's reading ended: by FIN (`end`) or by an error's code, and all that came before. */
export function transcript(socket: Socket): Promise<{ readonly text: string; readonly end: string }> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const text = (): string => Buffer.concat(chunks).toString();
  return new Promise((resolve) => {
    socket.once('end', () => resolve({ text: text(), end: 'FIN' }));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve({ text: text(), end: error.code ?? 'error' }));
    socket.once('close', () => resolve({ text: text(), end: 'closed' }));
  });
}
