import type { Channel, ChannelSink } from '../link/transport.ts';
import { asTunnelError, type TunnelError } from '../model/failure.ts';
import { BulkSend, type BulkParts, type PeerWindow } from './data/bulk-send.ts';
import { sendWindowOf, windowKeeper } from './compat/channel-window.ts';
import type { RawChannel } from './compat/raw-channel.ts';
import type { PooledReads } from './data/pooled-reads.ts';
import type { Borrower } from './data/read-loans.ts';
import type { Sender } from './data/sharing.ts';
import { Stash } from './data/stash.ts';
import type { Held, Uplink } from './data/uplink.ts';
import type { Path, WindowGrowth } from './data/window-growth.ts';

/** How a channel's receive window grows, and what it is measured by. */
export interface ChannelWindow {
  readonly growth: WindowGrowth;
  readonly path: Path;
}

/** What a channel has of its connection. */
export interface ChannelParts {
  readonly uplink: Uplink;
  /** Undefined where what is read belongs to nobody else. */
  readonly reads: PooledReads | undefined;
  /** Undefined leaves the window to ssh2. */
  readonly window: ChannelWindow | undefined;
  /** Undefined where what it sends is bounded by the window only. */
  readonly bulk: BulkParts | undefined;
  /** Data has come. */
  readonly onHeard: () => void;
  /** Called once when the channel holds nothing of the connection any more. */
  readonly onGone: (channel: SshChannel) => void;
}

/**
 * A Channel over an ssh2 channel, with its endings put right: ssh2's `destroy` keeps no promise of Node's, `close`
 * comes only after the readable side was consumed, and a lost connection looks like a clean end.
 */
export class SshChannel implements Channel, Held, Borrower {
  readonly #stream: RawChannel;
  readonly #parts: ChannelParts;
  readonly #widen: (() => void) | undefined;
  readonly #sendWindow: () => number;
  readonly #peerWindow: PeerWindow;
  readonly #sender: Sender = { smallMs: -Infinity, smallTurn: 0 };
  /** What the reader gets as its own. */
  readonly #stash = new Stash();
  /** What waits for the peer's window. */
  readonly #unsent = new Stash();
  #sink: ChannelSink | undefined;
  /** `open` → `closed` (told or to be told to the sink); nothing goes to ssh2 or the sink afterwards. */
  #state: 'open' | 'closed' = 'open';
  #error: TunnelError | undefined;
  /** From when it has much to send. */
  #bulk: BulkSend | undefined;
  #ended = false;
  /** The sink has not given back yet what it was lent. */
  #lent = false;
  #held = false;
  #paused = false;

  constructor(stream: RawChannel, parts: ChannelParts) {
    this.#stream = stream;
    this.#parts = parts;
    this.#widen = parts.window === undefined ? undefined : windowKeeper(stream, parts.window.growth);
    this.#sendWindow = sendWindowOf(stream);
    this.#peerWindow = { firstBytes: this.#sendWindow(), bytes: this.#sendWindow };
    stream.onClosed((error) => this.#close(error && asTunnelError(error)));
    if (parts.reads !== undefined) this.#divert(parts.reads);
  }

  attach(sink: ChannelSink): void {
    if (this.#sink !== undefined) throw new TypeError('A channel has one reader');
    this.#sink = sink;
    if (this.#state === 'closed') {
      queueMicrotask(() => sink.closed(this.#error));
      return;
    }
    const end = (): void => {
      if (this.#state === 'open') sink.end();
    };
    const data = (chunk: Buffer): void => {
      if (this.#state !== 'open') return;
      sink.data(chunk);
      this.#took(chunk.length);
    };
    this.#stream.flow(data, end);
    if (this.#paused) this.#stream.pause();
  }

  /** Nothing was sent on it yet, and nothing waits to be. */
  get silent(): boolean {
    const nothingSent = this.#sendWindow() === this.#peerWindow.firstBytes && this.#stream.writableLength === 0;
    return this.#state === 'open' && !this.#ended && nothingSent;
  }

  get shared(): boolean {
    return this.#parts.bulk?.sharing.at(performance.now()) === true;
  }

  write(chunk: Buffer): boolean {
    const inBetween = this.#speaks(chunk.length);
    const goOn = this.#send(chunk);
    if (inBetween) this.#parts.uplink.hurry();
    return goOn;
  }

  readonly lend = (chunk: Buffer): boolean => {
    const inBetween = this.#speaks(chunk.length);
    if (!inBetween) this.#becomeBulk();
    const goOn = this.#sendLent(chunk);
    if (inBetween) this.#parts.uplink.hurry();
    return goOn;
  };

  #send(chunk: Buffer): boolean {
    if (this.#state === 'closed' || this.#ended) return true; // dropped: `closed` has told, or tells, why
    try {
      this.#stream.write(chunk, this.#written);
    } catch (error) {
      this.#close(asTunnelError(error));
      return true;
    }
    return this.ready();
  }

  #sendLent(chunk: Buffer): boolean {
    // ssh2 copies what the window allows into packets before `write` returns, and keeps the rest as it is.
    const waits = this.#stream.writableLength > 0;
    if (!waits) this.#unsent.reuse();
    const room = waits ? 0 : this.#sendWindow();
    if (chunk.length <= room) return this.#send(chunk);
    if (room > 0) this.#send(chunk.subarray(0, room));
    return this.#send(this.#unsent.copy(chunk.subarray(room)));
  }

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
    if (this.#state === 'open' && this.#sink !== undefined) this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#state === 'open' && this.#sink !== undefined) this.#stream.resume();
  }

  settle(released: () => void): boolean {
    const gone = this.#sink?.settle?.(() => {
      this.#lent = false;
      released();
    });
    this.#lent = gone === false;
    return !this.#lent;
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
    this.#parts.uplink.forget(this);
    if (this.#state === 'open') this.#sink?.drain();
  }

  /** A chunk waits for the peer's window, the connection's own socket is full, or enough is under way. */
  get #blocked(): boolean {
    return this.#stream.writableLength > 0 || this.#parts.uplink.full || this.#bulk?.full === true;
  }

  /**
   * Takes data before ssh2's stream does. A reader that is there gets the read's own memory, as long as it has given back what it
   * was lent before: a slow one holds no more than one read. What has to wait is copied, since it may wait for ever.
   */
  #divert(reads: PooledReads): void {
    const stream = this.#stream;
    const push = stream.push.bind(stream);
    stream.push = (chunk: Buffer | null): boolean => {
      if (chunk === null) return push(null);
      const leave = reads.claim(chunk, this);
      if (this.#state === 'closed') return true;
      const sink = this.#paused || stream.readableLength > 0 ? undefined : this.#sink;
      if (sink === undefined) return push(leave === 'keep' ? chunk : this.#stash.copy(chunk));
      if (sink.borrow === undefined || this.#lent || leave !== 'borrow')
        sink.data(leave === 'keep' ? chunk : this.#stash.copy(chunk));
      else {
        sink.borrow(chunk);
        reads.lendTo(this);
      }
      this.#took(chunk.length);
      return true;
    };
  }

  /** To be called before anything is sent. @returns whether it is said in between */
  #speaks(bytes: number): boolean {
    return this.#parts.bulk?.sharing.sends(this.#sender, bytes) === true;
  }

  #becomeBulk(): void {
    const { bulk } = this.#parts;
    if (bulk === undefined || this.#state === 'closed') return;
    this.#bulk ??= new BulkSend(this.#stream, this.#peerWindow, bulk, this.#written);
  }

  #hold(): void {
    this.#held = true;
    if (this.#parts.uplink.full) this.#parts.uplink.hold(this);
  }

  #took(bytes: number): void {
    const { window, bulk, onHeard } = this.#parts;
    onHeard();
    bulk?.sharing.receives(this.#sender, bytes);
    if (window === undefined) return;
    window.growth.took(bytes, performance.now(), window.path);
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
    this.#parts.uplink.forget(this);
    this.#parts.window?.growth.close();
    this.#bulk?.close();
    this.#bulk = undefined;
    this.#stream.close();
    this.#stream.resume(); // else ssh2 never emits 'close', and never frees what it has queued
    this.#parts.onGone(this);
    const sink = this.#sink;
    if (sink !== undefined) queueMicrotask(() => sink.closed(error));
  }
}
