import { Readable, type Duplex } from 'node:stream';
import type { Channel, ChannelSink } from '../link/transport.ts';
import { asTunnelError, type TunnelError } from '../model/failure.ts';
import { boundQueues } from './compat/channel-memory.ts';
import { sendWindowOf, windowKeeper } from './compat/channel-window.ts';
import type { Held, Uplink } from './uplink.ts';
import type { WindowGrowth } from './window-growth.ts';

/** What we use of an ssh2 channel: a stream whose `close` sends SSH_MSG_CHANNEL_CLOSE. */
export interface Ssh2Channel extends Duplex {
  readonly stderr?: object;
  close(): void;
}

/** How a channel's receive window grows, and what it is measured by. */
export interface ChannelWindow {
  readonly growth: WindowGrowth;
  /** The shortest one seen on this connection; undefined before the first. */
  readonly roundTripMs: () => number | undefined;
}

/** Bytes that a channel queues on top of the SSH window, in each direction. */
const QUEUE_BYTES = 64 * 1024;

/**
 * A Channel over an ssh2 channel, with its endings put right: ssh2's `destroy` keeps no promise of Node's, `close`
 * comes only after the readable side was consumed, and a lost connection looks like a clean end.
 */
export class SshChannel implements Channel, Held {
  readonly #stream: Ssh2Channel;
  readonly #uplink: Uplink;
  readonly #onGone: (channel: SshChannel) => void;
  readonly #window: ChannelWindow | undefined;
  readonly #widen: (() => void) | undefined;
  readonly #sendWindow: () => number;
  #sink: ChannelSink | undefined;
  /** `open` → `closed` (told or to be told to the sink); nothing goes to ssh2 or the sink afterwards. */
  #state: 'open' | 'closed' = 'open';
  #error: TunnelError | undefined;
  #ended = false;
  #held = false;
  #paused = false;

  /**
   * @param onGone called once when the channel holds nothing of the connection any more
   * @param window undefined leaves the window to ssh2
   */
  constructor(stream: Ssh2Channel, uplink: Uplink, onGone: (channel: SshChannel) => void, window?: ChannelWindow) {
    this.#stream = stream;
    this.#uplink = uplink;
    this.#onGone = onGone;
    this.#window = window;
    this.#widen = window === undefined ? undefined : windowKeeper(stream, window.growth);
    this.#sendWindow = sendWindowOf(stream);
    boundQueues(stream, QUEUE_BYTES);
    stream.on('error', (error) => this.#close(asTunnelError(error)));
    stream.on('close', () => this.#close());
    if (stream.stderr instanceof Readable) stream.stderr.resume(); // a forwarded connection has none; a server that sends it gets it dropped
  }

  attach(sink: ChannelSink): void {
    if (this.#sink !== undefined) throw new TypeError('A channel has one reader');
    this.#sink = sink;
    if (this.#state === 'closed') {
      queueMicrotask(() => sink.closed(this.#error));
      return;
    }
    this.#stream.on('end', () => {
      if (this.#state === 'open') sink.end();
    });
    this.#stream.on('data', (chunk: Buffer) => {
      if (this.#state !== 'open') return;
      sink.data(chunk);
      this.#took(chunk.length);
    });
    if (this.#paused) this.#stream.pause();
  }

  write(chunk: Buffer): boolean {
    if (this.#state === 'closed' || this.#ended) return true; // dropped: `closed` has told, or tells, why
    try {
      this.#stream.write(chunk, this.#written);
    } catch (error) {
      this.#close(asTunnelError(error));
      return true;
    }
    return this.ready();
  }

  readonly lend = (chunk: Buffer): boolean => {
    // ssh2 copies what the window allows into packets before `write` returns, and keeps the rest as it is.
    const room = this.#stream.writableLength > 0 ? 0 : this.#sendWindow();
    if (chunk.length <= room) return this.write(chunk);
    if (room > 0) this.write(chunk.subarray(0, room));
    return this.write(Buffer.from(chunk.subarray(room)));
  };

  ready(): boolean {
    if (this.#state === 'closed' || !this.#blocked) return true;
    this.#hold();
    return false;
  }

  end(): void {
    if (this.#state === 'closed' || this.#ended) return;
    this.#ended = true;
    this.#stream.end();
  }

  abort(): void {
    this.#close();
  }

  pause(): void {
    this.#paused = true;
    if (this.#state === 'open') this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#state === 'open' && this.#sink !== undefined) this.#stream.resume();
  }

  /** The connection beneath has ended. */
  lost(reason: TunnelError): void {
    this.#close(reason);
  }

  /** Called by the uplink, and when ssh2 has handed a chunk on. */
  release(): void {
    if (!this.#held) return;
    if (this.#blocked) return this.#hold();
    this.#held = false;
    this.#uplink.forget(this);
    if (this.#state === 'open') this.#sink?.drain();
  }

  /** A chunk waits for the peer's window, or the connection's own socket is full. */
  get #blocked(): boolean {
    return this.#stream.writableLength > 0 || this.#uplink.full;
  }

  #hold(): void {
    this.#held = true;
    if (this.#uplink.full) this.#uplink.hold(this);
  }

  #took(bytes: number): void {
    if (this.#window === undefined) return;
    this.#window.growth.took(bytes, performance.now(), this.#window.roundTripMs());
    this.#widen?.();
  }

  readonly #written = (): void => {
    if (this.#held) this.release();
  };

  /** Ends it on our side at once; ssh2 finishes behind our back when the peer's close arrives. */
  #close(error?: TunnelError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#error = error;
    this.#uplink.forget(this);
    this.#window?.growth.close();
    this.#stream.close();
    this.#stream.resume(); // else ssh2 never emits 'close', and never frees what it has queued
    this.#onGone(this);
    const sink = this.#sink;
    if (sink !== undefined) queueMicrotask(() => sink.closed(error));
  }
}
