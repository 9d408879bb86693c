import { connect, type Socket } from 'node:net';
import type { Channel, ChannelSink, Originator } from '../../link/transport.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError, type FailureCode } from '../../model/failure.ts';
import { abortReason } from '../abort-reason.ts';
import { resetOrDestroy } from '../splice/reset.ts';
import { HELD_BACK_BYTES } from '../splice/splice.ts';

/** Reaches a target for one client: `Carrier.open` through SSH, `dialLocal` from this machine. */
export type Dial = (target: Endpoint, originator: Originator, signal: AbortSignal) => Promise<Channel>;

/** Connects from this machine and hands the connection over as a channel; the caller closes it. @throws TunnelError */
export async function dialLocal(target: Endpoint, signal: AbortSignal): Promise<Channel> {
  return new SocketChannel(await dialSocket(target, signal));
}

/**
 * Connects from this machine: half-open ends allowed, no delay, not reading yet. The caller closes it. Rejects with
 * TARGET_REFUSED, NAME_UNRESOLVED, UNREACHABLE, CONNECT_TIMEOUT, or the signal's reason.
 */
export function dialSocket(target: Endpoint, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortReason(signal));
    const where = target.kind === 'unix' ? { path: target.path } : { host: target.host, port: target.port };
    const socket = connect({ ...where, allowHalfOpen: true, noDelay: true });
    const aborted = (): void => {
      socket.destroy();
      reject(abortReason(signal));
    };
    const failed = (error: NodeJS.ErrnoException): void => {
      signal.removeEventListener('abort', aborted);
      reject(dialFailure(error, target));
    };
    signal.addEventListener('abort', aborted, { once: true });
    socket.once('error', failed);
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted);
      socket.off('error', failed);
      resolve(socket);
    });
  });
}

const DIAL_FAILURES: Readonly<Record<string, readonly [FailureCode, string]>> = {
  ECONNREFUSED: ['TARGET_REFUSED', 'Connection refused'],
  ENOENT: ['TARGET_REFUSED', 'No such file or directory'],
  EACCES: ['TARGET_REFUSED', 'Permission denied'],
  ENOTFOUND: ['NAME_UNRESOLVED', 'Name or service not known'],
  EAI_AGAIN: ['NAME_UNRESOLVED', 'Temporary failure in name resolution'],
  EHOSTUNREACH: ['UNREACHABLE', 'No route to host'],
  ENETUNREACH: ['UNREACHABLE', 'Network is unreachable'],
  EADDRNOTAVAIL: ['UNREACHABLE', 'Cannot assign requested address'],
  ETIMEDOUT: ['CONNECT_TIMEOUT', 'Connection timed out'],
};

/** What the system said about reaching a target, as the error that a person sees. */
export function dialFailure(error: NodeJS.ErrnoException, target: Endpoint): TunnelError {
  const code = error.code ?? '';
  const [failure, why] = DIAL_FAILURES[code] ?? ['UNREACHABLE', code === '' ? error.message : code];
  return new TunnelError(failure, `Cannot connect to ${formatEndpoint(target)}: ${why}`, { cause: error });
}

/** A connected socket with the face of a channel: for what is dialled from here. Closes the socket with itself. */
export class SocketChannel implements Channel {
  readonly #socket: Socket;
  #sink: ChannelSink | undefined;
  #ended = false;
  #aborted = false;
  #error: TunnelError | undefined;
  #closed = false;

  /** @param socket connected, made with allowHalfOpen, nothing read from it yet */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', () => this.#gone());
  }

  attach(sink: ChannelSink): void {
    this.#sink = sink;
    if (this.#closed) return queueMicrotask(() => sink.closed(this.#error));
    this.#socket.on('data', (chunk: Buffer) => sink.data(chunk));
    this.#socket.on('end', () => sink.end());
    this.#socket.on('drain', () => sink.drain());
    this.#socket.resume();
  }

  write(chunk: Buffer): boolean {
    const socket = this.#socket;
    if (this.#ended || socket.destroyed) return true; // `closed` says what became of it
    return socket.write(chunk) || this.ready();
  }

  ready(): boolean {
    const socket = this.#socket;
    return socket.destroyed || !socket.writableNeedDrain || socket.writableLength < HELD_BACK_BYTES;
  }

  end(): void {
    this.#ended = true;
    this.#socket.end();
  }

  abort(): void {
    this.#aborted = true;
    resetOrDestroy(this.#socket);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#aborted) return;
    const why = error.code === 'ECONNRESET' ? 'Connection reset by peer' : (error.code ?? error.message);
    this.#error ??= new TunnelError('CONNECTION_LOST', `Cannot go on with a connection: ${why}`, { cause: error });
  }

  #gone(): void {
    this.#closed = true;
    this.#sink?.closed(this.#error);
  }
}
