import { Backlog } from '../data/backlog.ts';
import { BASE_WINDOW_BYTES } from '../data/window-growth.ts';
import type { Protocol } from './protocol.ts';
import { QUEUE_BYTES, type RawChannel } from './raw-channel.ts';

/** Where one side of a channel is, as ssh2 1.17.0 keeps it. */
export interface ChannelSide {
  readonly id: number;
  readonly packetSize: number;
  window: number;
  state: 'open' | 'eof' | 'closing' | 'closed';
}

/** What of ssh2's protocol object is used here. */
export type ChannelProtocol = Pick<Protocol, 'channelData' | 'channelEOF' | 'channelClose' | 'channelWindowAdjust'>;

/** In place of the standard error that a forwarded connection does not have: what a server sends there is dropped. */
const NO_STDERR = {
  readable: false,
  push: (): boolean => true,
  emit: (): boolean => false,
};

/**
 * A forwarded connection without Node's streams. ssh2 1.17.0 makes two of them for each channel, and their making, ticks and ends were
 * a tenth of what a short connection costs. What has an underscore or says so is there for ssh2's client, which finds it by these names in
 * every channel (lib/client.js, lib/utils.js).
 */
export class LightChannel implements RawChannel {
  readonly type = 'direct-tcpip';
  readonly server = false;
  readonly stderr = NO_STDERR;
  readonly incoming: ChannelSide;
  readonly outgoing: ChannelSide;
  readonly _client: { readonly _protocol: ChannelProtocol };
  readonly _exit = { code: undefined };
  _callbacks: unknown[] = [];
  /** ssh2 sets it when `push` has said false, and clears `_waitWindow` before it calls `_write`. */
  _waitChanDrain = false;
  _waitWindow = false;
  _chunk: Buffer | undefined;
  /** Until its end was told. */
  readable = true;
  writableLength = 0;
  readonly #unread = new Backlog();
  readonly #unsent: Buffer[] = [];
  #flow: 'not yet' | 'on' | 'paused' = 'not yet';
  #flowing = false;
  #readEof = false;
  #writeEnded = false;
  #onData: ((chunk: Buffer) => void) | undefined;
  #onEnd: (() => void) | undefined;
  #afterEnd: (() => void) | undefined;
  #onClose: (() => void) | undefined;
  #onSent: (() => void) | undefined;

  constructor(incoming: ChannelSide, outgoing: ChannelSide, client: LightChannel['_client']) {
    this.incoming = incoming;
    this.outgoing = outgoing;
    this._client = client;
  }

  onClosed(closed: () => void): void {
    this.#onClose = closed;
  }

  flow(data: (chunk: Buffer) => void, end: () => void): void {
    this.#onData = data;
    this.#onEnd = end;
    if (this.#flow === 'not yet') this.resume();
  }

  /** ssh2's: what is to follow the end. */
  once(_event: 'end', listener: () => void): void {
    this.#afterEnd = listener;
  }

  /** ssh2's: 'close', and the end of a program, which no forwarded connection is. */
  emit(event: string): void {
    if (event === 'close') this.#onClose?.();
  }

  get readableLength(): number {
    return this.#unread.bytes;
  }

  push(chunk: Buffer | null): boolean {
    if (chunk === null) {
      this.#readEof = true;
      this.#endRead();
      return false;
    }
    if (this.#isClosed) return true; // nobody reads on
    if (this.#flow === 'on' && this.#unread.bytes === 0) {
      this.#onData?.(chunk);
      return true;
    }
    this.#unread.push(chunk);
    return this.readableLength < QUEUE_BYTES;
  }

  pause(): void {
    this.#flow = 'paused';
  }

  /** What waits comes after the caller has returned. */
  resume(): void {
    this.#flow = 'on';
    if (this.#flowing || !this.readable || (this.#unread.bytes === 0 && !this.#readEof)) return;
    this.#flowing = true;
    process.nextTick(() => this.#readOn());
  }

  write(chunk: Buffer, sent: () => void): boolean {
    if (this.outgoing.state !== 'open' || this.#writeEnded) return true;
    this.#onSent = sent;
    const rest = this.#unsent.length > 0 ? chunk : this.#send(chunk);
    if (rest === undefined) return true;
    this.#unsent.push(rest);
    this.writableLength += rest.length;
    this.#awaitWindow();
    return false;
  }

  /** ssh2's: the server has widened the window. */
  _write(): void {
    if (this.outgoing.state !== 'open') return;
    for (let [chunk] = this.#unsent; chunk !== undefined; [chunk] = this.#unsent) {
      const rest = this.#send(chunk);
      this.writableLength -= chunk.length - (rest?.length ?? 0);
      if (rest !== undefined) {
        this.#unsent[0] = rest;
        return this.#awaitWindow();
      }
      this.#unsent.shift();
    }
    this._chunk = undefined;
    if (this.#writeEnded) this.#sendEof();
    this.#onSent?.();
  }

  end(): void {
    if (this.#writeEnded) return;
    this.#writeEnded = true;
    if (this.#unsent.length === 0) this.#sendEof();
  }

  close(): void {
    if (this.#isClosed) return;
    this.outgoing.state = 'closing';
    this._client._protocol.channelClose(this.outgoing.id);
  }

  /** By us; the server may have more to say until it has closed too. */
  get #isClosed(): boolean {
    return this.outgoing.state === 'closing' || this.outgoing.state === 'closed';
  }

  /** @returns what the window has no room for */
  #send(chunk: Buffer): Buffer | undefined {
    const { outgoing } = this;
    let from = 0;
    while (from < chunk.length && outgoing.window > 0) {
      const bytes = Math.min(chunk.length - from, outgoing.window, outgoing.packetSize);
      this._client._protocol.channelData(
        outgoing.id,
        bytes === chunk.length ? chunk : chunk.subarray(from, from + bytes),
      );
      outgoing.window -= bytes;
      from += bytes;
    }
    if (from === chunk.length) return undefined;
    return from === 0 ? chunk : chunk.subarray(from);
  }

  #awaitWindow(): void {
    [this._chunk] = this.#unsent;
    this._waitWindow = true;
  }

  #sendEof(): void {
    if (this.outgoing.state !== 'open') return;
    this.outgoing.state = 'eof';
    this._client._protocol.channelEOF(this.outgoing.id);
    if (!this.readable) this.close();
  }

  #readOn(): void {
    this.#flowing = false;
    while (this.#flow === 'on') {
      const chunk = this.#unread.shift();
      if (chunk === undefined) break;
      this.#onData?.(chunk);
    }
    if (this._waitChanDrain && this.readableLength < QUEUE_BYTES) this.#widen();
    this.#endRead();
  }

  /** As ssh2 does where its stream is read again. */
  #widen(): void {
    this._waitChanDrain = false;
    const bytes = BASE_WINDOW_BYTES - this.incoming.window;
    if (bytes < BASE_WINDOW_BYTES / 2 || this.#isClosed) return;
    this.incoming.window += bytes;
    this._client._protocol.channelWindowAdjust(this.outgoing.id, bytes);
  }

  #endRead(): void {
    if (!this.#readEof || !this.readable || this.#flow !== 'on' || this.#unread.bytes > 0) return;
    this.readable = false;
    this.#onEnd?.();
    if (this.outgoing.state === 'eof') this.close(); // RFC 4254 section 5.3: nothing is left to say in either direction
    this.#afterEnd?.();
  }
}
