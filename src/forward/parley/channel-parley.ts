import type { Channel, ChannelSink } from '../../link/transport.ts';
import type { TunnelError } from '../../model/failure.ts';
import { abortReason } from '../abort-reason.ts';
import type { Parley } from './parley.ts';

/** A client's request has a few hundred bytes: what comes beyond is held back until its target is there. */
const READ_AHEAD_BYTES = 16 * 1024;

/**
 * The parley with a client that came by a channel; afterwards it is that channel, with every byte that was not used up.
 * Ownership is as with the channel itself.
 */
export class ChannelParley implements Channel, Parley {
  readonly lend?: (chunk: Buffer) => boolean;
  readonly #channel: Channel;
  #heard: Buffer[] = [];
  #held = false;
  #ended = false;
  #closed: { readonly error: TunnelError | undefined } | undefined;
  #sink: ChannelSink | undefined;
  #wake: () => void = () => undefined;

  /** @param onLeft the client has gone before anybody took its bytes, or has ended without one */
  constructor(channel: Channel, onLeft: () => void = () => undefined) {
    this.#channel = channel;
    if (channel.lend !== undefined) this.lend = channel.lend;
    channel.attach({
      data: (chunk) => this.#data(chunk),
      end: () => {
        this.#ended = true;
        if (this.#sink === undefined && this.#heard.length === 0) onLeft();
        this.#sink?.end();
        this.#wake();
      },
      drain: () => this.#sink?.drain(),
      closed: (error) => {
        this.#closed = { error };
        if (this.#sink === undefined) onLeft();
        this.#sink?.closed(error);
        this.#wake();
      },
    });
  }

  get shared(): boolean {
    return this.#channel.shared === true;
  }

  read(signal: AbortSignal): Promise<Buffer | null> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        signal.removeEventListener('abort', aborted);
        this.#wake = () => undefined;
      };
      const aborted = (): void => {
        settle();
        reject(abortReason(signal));
      };
      const look = (): void => {
        const bytes = this.#take();
        if (bytes.length === 0 && !this.#ended && this.#closed === undefined) return;
        settle();
        resolve(bytes.length === 0 ? null : bytes);
      };
      if (signal.aborted) return aborted();
      signal.addEventListener('abort', aborted, { once: true });
      this.#wake = look;
      look();
    });
  }

  unread(bytes: Buffer): void {
    if (bytes.length > 0) this.#heard.unshift(bytes);
  }

  write(chunk: Buffer): boolean {
    return chunk.length === 0 || this.#channel.write(chunk);
  }

  ready(): boolean {
    return this.#channel.ready();
  }

  attach(sink: ChannelSink): void {
    this.#sink = sink;
    const bytes = this.#take();
    if (bytes.length > 0) sink.data(bytes);
    if (this.#ended) sink.end();
    const closed = this.#closed;
    if (closed !== undefined) queueMicrotask(() => sink.closed(closed.error));
  }

  end(): void {
    this.#channel.end();
  }

  abort(): void {
    this.#channel.abort();
  }

  pause(): void {
    this.#channel.pause();
  }

  resume(): void {
    this.#channel.resume();
  }

  #data(chunk: Buffer): void {
    if (this.#sink !== undefined) return this.#sink.data(chunk);
    this.#heard.push(chunk);
    if (this.#heard.reduce((sum, { length }) => sum + length, 0) >= READ_AHEAD_BYTES) {
      this.#held = true;
      this.#channel.pause();
    }
    this.#wake();
  }

  #take(): Buffer {
    const bytes = Buffer.concat(this.#heard);
    this.#heard = [];
    if (this.#held) this.#channel.resume();
    this.#held = false;
    return bytes;
  }
}
