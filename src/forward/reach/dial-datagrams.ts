import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Channel, ChannelSink } from '../../link/transport.ts';
import { formatEndpoint, type Endpoint, type TcpEndpoint } from '../../model/endpoint.ts';
import { TunnelError, asError } from '../../model/failure.ts';
import { abortReason } from '../abort-reason.ts';
import { dialFailure } from './dial.ts';
import { proxyHeader } from './proxy-protocol.ts';

/** Datagrams get lost: a question without an answer is asked again so often, as resolvers do. */
const ASK_AGAIN_MS = 1_000;
const NO_HEADER = Buffer.alloc(0);

/** A place that takes datagrams. @throws TunnelError INTERNAL for a Unix socket, which the profile's parser refuses */
export function udpEndpoint(endpoint: Endpoint): TcpEndpoint {
  if (endpoint.kind === 'tcp') return endpoint;
  throw new TunnelError('INTERNAL', `Cannot relay datagrams at ${formatEndpoint(endpoint)}: it is a unix socket`);
}

/**
 * A question to a UDP service with the face of a channel: what is written is one datagram, repeated each second until the service
 * has answered. The caller closes it. Rejects with NAME_UNRESOLVED, UNREACHABLE or the signal's reason.
 * @param target no Unix socket: the profile's parser refuses those for datagrams
 * @param proxyProtocol its header goes before each datagram, and says that it is a question of our own; null: none does
 */
export async function dialDatagrams(
  target: Endpoint,
  proxyProtocol: 'v1' | 'v2' | null,
  signal: AbortSignal,
): Promise<Channel> {
  const { host, port } = udpEndpoint(target);
  const header = proxyProtocol === null ? NO_HEADER : proxyHeader(proxyProtocol, { transport: 'udp', ends: null });
  signal.throwIfAborted();
  try {
    const address = isIP(host) === 0 ? (await lookup(host)).address : host;
    return new DatagramChannel(await connected(port, address, signal), target, header);
  } catch (thrown) {
    throw signal.aborted ? abortReason(signal) : dialFailure(asError(thrown), target);
  }
}

function connected(port: number, address: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortReason(signal));
    const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
    const failed = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once('error', failed);
    // Connected, the kernel lets in what the target sends and nothing else, and tells when nobody is there.
    socket.once('connect', () => {
      socket.off('error', failed);
      resolve(socket);
    });
    socket.connect(port, address);
  });
}

class DatagramChannel implements Channel {
  readonly #socket: Socket;
  readonly #target: Endpoint;
  readonly #header: Buffer;
  #sink: ChannelSink | undefined;
  #asking: NodeJS.Timeout | undefined;
  #over = false;
  #error: TunnelError | undefined;

  constructor(socket: Socket, target: Endpoint, header: Buffer) {
    this.#socket = socket;
    this.#target = target;
    this.#header = header;
    socket.on('error', (error) => this.#failed(error));
    socket.on('message', (datagram) => {
      clearInterval(this.#asking);
      if (!this.#over) this.#sink?.data(datagram);
    });
  }

  attach(sink: ChannelSink): void {
    this.#sink = sink;
    if (this.#over) queueMicrotask(() => sink.closed(this.#error));
  }

  write(chunk: Buffer): boolean {
    if (this.#over) return true; // `closed` says what became of it
    const datagram = Buffer.concat([this.#header, chunk]);
    const ask = (): void => this.#socket.send(datagram, (error) => error === null || this.#failed(error));
    clearInterval(this.#asking);
    this.#asking = setInterval(ask, ASK_AGAIN_MS);
    ask();
    return true;
  }

  ready(): boolean {
    return true;
  }

  /** Datagrams have no end of one direction. */
  end(): void {
    this.#close();
  }

  abort(): void {
    this.#close();
  }

  pause(): void {
    // What cannot be held back is one answer.
  }

  resume(): void {
    // Nothing was held back.
  }

  /** ECONNREFUSED: the target's machine says that nobody listens (ICMP). */
  #failed(error: NodeJS.ErrnoException): void {
    if (this.#over) return;
    this.#error = dialFailure(error, this.#target);
    this.#close();
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#asking);
    this.#socket.close(() => this.#sink?.closed(this.#error));
  }
}
