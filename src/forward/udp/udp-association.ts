import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../../model/clock.ts';
import { formatEndpoint, type TcpEndpoint } from '../../model/endpoint.ts';
import type { TunnelError } from '../../model/failure.ts';
import type { Counted } from '../clients/connections.ts';
import { dialFailure } from '../reach/dial.ts';

export interface UdpAssociationOptions {
  readonly client: string;
  readonly target: TcpEndpoint;
  /** Goes before each datagram to the target: the PROXY protocol, or nothing. */
  readonly header: Buffer;
  readonly clock: Clock;
  readonly idleMs: number;
  /** Sends one datagram back to the client. */
  readonly reply: (datagram: Buffer) => void;
  /** The first datagram came back. */
  readonly onAnswer: () => void;
  /** Called once, when it is over: `idle` after nothing came from either side for `idleMs`. */
  readonly onEnd: (why: 'idle' | TunnelError) => void;
}

/** Datagrams kept while the target's name is looked up: a burst of a first message, no more. */
const MOST_WAITING = 16;
/** Unsent bytes above which datagrams are dropped, as a router would: memory stays bounded. */
const MOST_QUEUED_BYTES = 256 * 1024;

/** One UDP client and the socket that speaks for it to the target. Owns that socket. */
export class UdpAssociation implements Counted {
  readonly client: string;
  readonly target: string;
  receivedBytes = 0;
  sentBytes = 0;
  readonly #options: UdpAssociationOptions;
  readonly #startedMs: number;
  readonly #waiting: Buffer[] = [];
  #socket: Socket | undefined;
  #lastMs: number;
  #cancelIdle: () => void;
  #answered = false;
  #over = false;

  constructor(options: UdpAssociationOptions) {
    this.client = options.client;
    this.target = formatEndpoint(options.target);
    this.#options = options;
    this.#startedMs = options.clock.nowMs();
    this.#lastMs = this.#startedMs;
    this.#cancelIdle = options.clock.after(options.idleMs, () => this.#look());
    void this.#open();
  }

  get durationMs(): number {
    return Math.round(this.#options.clock.nowMs() - this.#startedMs);
  }

  /** Sends one datagram of the client's on. */
  send(datagram: Buffer): void {
    if (this.#over) return;
    this.#lastMs = this.#options.clock.nowMs();
    this.sentBytes += datagram.length;
    const socket = this.#socket;
    if (socket === undefined) {
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push(datagram);
    } else if (socket.getSendQueueSize() < MOST_QUEUED_BYTES) {
      this.#pass(socket, datagram);
    }
  }

  /** Ends it now for a reason of ours. Safe to call twice. */
  cut(reason: TunnelError): void {
    if (this.#over) return;
    this.#close();
    this.#options.onEnd(reason);
  }

  #close(): void {
    this.#over = true;
    this.#cancelIdle();
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #open(): Promise<void> {
    const { target } = this.#options;
    try {
      const address = isIP(target.host) === 0 ? (await lookup(target.host)).address : target.host;
      if (!this.#over) this.#connect(address);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #connect(address: string): void {
    const { target, reply, onAnswer } = this.#options;
    const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
    socket.on('error', (error) => this.#fail(error));
    socket.on('message', (datagram) => {
      this.#lastMs = this.#options.clock.nowMs();
      this.receivedBytes += datagram.length;
      if (!this.#answered) onAnswer();
      this.#answered = true;
      reply(datagram);
    });
    // Connected, the kernel lets in what the target sends and nothing else, and tells when nobody is there.
    socket.once('connect', () => {
      if (this.#over) return void socket.close();
      this.#socket = socket;
      for (const datagram of this.#waiting.splice(0)) this.#pass(socket, datagram);
    });
    socket.connect(target.port, address); // without a callback, so that a failure is an event like any other
  }

  #pass(socket: Socket, datagram: Buffer): void {
    const { header } = this.#options;
    socket.send(header.length === 0 ? datagram : Buffer.concat([header, datagram]), (error) => {
      if (error !== null) this.#fail(error);
    });
  }

  #fail(error: NodeJS.ErrnoException): void {
    // One datagram too long for the way is that datagram's fault.
    if (this.#over || error.code === 'EMSGSIZE') return;
    this.#close();
    this.#options.onEnd(dialFailure(error, this.#options.target));
  }

  #look(): void {
    const { clock, idleMs, onEnd } = this.#options;
    const leftMs = this.#lastMs + idleMs - clock.nowMs();
    if (leftMs > 0) {
      this.#cancelIdle = clock.after(leftMs, () => this.#look());
      return;
    }
    this.#close();
    onEnd('idle');
  }
}
