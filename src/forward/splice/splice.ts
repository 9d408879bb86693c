import type { Socket } from 'node:net';
import type { Channel, ChannelSink } from '../../link/transport.ts';
import type { TunnelError } from '../../model/failure.ts';
import { awaitTurn, forgetTurn, SHARED_TURN_BYTES, TURN_BYTES, type Reading } from './read-turns.ts';
import { lookForReset } from './hidden-reset.ts';
import { resetOrDestroy } from './reset.ts';
import { readWide } from './wide-reads.ts';

/** `done`: both ways ended by themselves. `reset`: the socket's peer cut it. Otherwise why it was cut. */
export type SpliceEnding = 'done' | 'reset' | TunnelError;

/**
 * Unsent bytes of one socket above which its source is held back. A socket takes most chunks in the same turn, and asks
 * for a pause nevertheless whenever one chunk is larger than its own mark of 16 KiB: stopping the source at each would cost a
 * third of the rate. 256 KiB keeps it flowing and is little beside the channel's window of 2 MiB.
 */
export const HELD_BACK_BYTES = 256 * 1024;

/**
 * Carries bytes between a socket (made with allowHalfOpen) and a channel until both have closed; owns both from `start`
 * on. The hot path: nothing is allocated for a chunk. RFC 4254 section 5.3: EOF ends one direction, close ends both.
 */
export class Splice implements ChannelSink, Reading {
  /** Bytes that came out of the channel, towards the socket. */
  fromChannelBytes = 0;
  /** Bytes that came out of the socket, towards the channel. */
  fromSocketBytes = 0;
  readonly #socket: Socket;
  readonly #channel: Channel;
  readonly #onEnd: (ending: SpliceEnding) => void;
  #ending: SpliceEnding = 'done';
  #socketClosed = false;
  #socketEof = false;
  #channelClosed = false;
  #channelEof = false;
  #channelPaused = false;
  /** The channel takes nothing for now: it tells when. */
  #held = false;
  /** Read since its last turn. */
  #turnBytes = 0;
  #readsWide = false;
  /** Chunks of the channel's memory since it settled last. */
  #borrowed = 0;
  /** Those that the socket has not written yet. */
  #unwritten = 0;
  #released: (() => void) | undefined;

  /** @param onEnd called once, when both have closed: nothing of this connection is left then */
  constructor(socket: Socket, channel: Channel, onEnd: (ending: SpliceEnding) => void) {
    this.#socket = socket;
    this.#channel = channel;
    this.#onEnd = onEnd;
  }

  /** Starts both flows. What the socket has read before, even its end, is sent first. Call once. */
  start(): void {
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => this.#fromSocket(chunk));
    socket.on('end', () => this.#socketEnded());
    socket.on('drain', () => this.#socketDrained());
    socket.on('error', () => this.#socketFailed());
    socket.on('close', () => this.#socketGone());
    if (socket.closed)
      this.#socketGone(); // its event has passed
    else if (socket.readableEnded) this.#socketEnded();
    this.#channel.attach(this);
    if (!this.#socketClosed) socket.resume();
  }

  /** Sends what was read from the socket before this splice was there. Before `start`, and little: nobody is held back for it. */
  sendFirst(chunk: Buffer): void {
    this.fromSocketBytes += chunk.length;
    this.#channel.write(chunk);
  }

  /** Ends both at once for a reason of ours: what is under way is lost, so the peer sees a reset. Safe to call twice. */
  cut(reason: TunnelError): void {
    if (this.#socketClosed && this.#channelClosed) return;
    if (this.#ending === 'done') this.#ending = reason;
    if (!this.#channelClosed) this.#channel.abort();
    resetOrDestroy(this.#socket);
  }

  data(chunk: Buffer): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    this.fromChannelBytes += chunk.length;
    socket.write(chunk);
    this.#holdBack();
  }

  /** What comes together goes out together: one writev for all packets of a read. */
  borrow(chunk: Buffer): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    this.fromChannelBytes += chunk.length;
    this.#borrowed += 1;
    this.#unwritten += 1;
    if (this.#borrowed === 1) socket.cork();
    socket.write(chunk, this.#wrote);
  }

  settle(released: () => void): boolean {
    const socket = this.#socket;
    if (this.#borrowed > 0) socket.uncork();
    this.#borrowed = 0;
    if (socket.destroyed || socket.writableLength === 0) return true;
    this.#released = released;
    this.#holdBack();
    return false;
  }

  end(): void {
    this.#channelEof = true;
    const socket = this.#socket;
    // Its own end has come and every byte for it is in the kernel: closed at once, it gets the same FIN without a shutdown before.
    if (this.#socketEof && socket.writableLength === 0) socket.destroy();
    else socket.end();
  }

  drain(): void {
    if (!this.#held) return;
    this.#held = false;
    awaitTurn(this);
  }

  readOn(): void {
    this.#turnBytes = 0;
    this.#held = !this.#channelClosed && !this.#channel.ready();
    if (this.#held) return;
    if (!this.#readsWide && this.fromSocketBytes >= TURN_BYTES) this.#readWide();
    this.#socket.resume();
  }

  closed(error?: TunnelError): void {
    this.#channelClosed = true;
    if (error !== undefined && this.#ending === 'done') this.#ending = error;
    if (this.#socketClosed) return this.#onEnd(this.#ending);
    // Its EOF had come: every byte for the peer is here and must arrive, which a reset would prevent.
    if (error === undefined || this.#channelEof) this.#closeSocket();
    else resetOrDestroy(this.#socket);
  }

  /** Only a write that said false is followed by 'drain'. */
  #holdBack(): void {
    const { writableNeedDrain, writableLength } = this.#socket;
    if (this.#channelPaused || !writableNeedDrain || writableLength < HELD_BACK_BYTES) return;
    this.#channelPaused = true;
    this.#channel.pause();
  }

  /** What was copied may still wait behind it. */
  readonly #wrote = (): void => {
    this.#unwritten -= 1;
    if (this.#unwritten > 0) return;
    const released = this.#released;
    this.#released = undefined;
    released?.();
  };

  #fromSocket(chunk: Buffer): void {
    if (this.#channelClosed) return; // nobody is left to read it
    this.#sent(chunk.length, this.#channel.write(chunk));
  }

  /** It is busy: worth reading with fewer calls. */
  #readWide(): void {
    const { lend } = this.#channel;
    this.#readsWide = true;
    if (lend === undefined) return;
    readWide(
      this.#socket,
      (chunk) => {
        if (!this.#channelClosed) this.#sent(chunk.length, lend(chunk));
      },
      () => this.#turnSize,
    );
  }

  #sent(bytes: number, goOn: boolean): void {
    this.fromSocketBytes += bytes;
    this.#turnBytes += bytes;
    this.#held = !goOn;
    if (goOn && this.#turnBytes < this.#turnSize) return;
    if (goOn) awaitTurn(this);
    this.#socket.pause();
  }

  get #turnSize(): number {
    return this.#channel.shared === true ? SHARED_TURN_BYTES : TURN_BYTES;
  }

  #socketEnded(): void {
    this.#socketEof = true;
    if (!this.#channelClosed) this.#channel.end();
    // Not while its last words wait: a reset would take them along, and after an end they still go.
    if (!this.#channelEof && this.#channel.ready()) lookForReset(this.#socket);
  }

  #socketDrained(): void {
    if (!this.#channelPaused) return;
    this.#channelPaused = false;
    if (!this.#channelClosed) this.#channel.resume();
  }

  #socketFailed(): void {
    if (this.#ending === 'done') this.#ending = 'reset';
  }

  #socketGone(): void {
    if (this.#socketClosed) return;
    this.#socketClosed = true;
    forgetTurn(this);
    if (this.#channelClosed) return this.#onEnd(this.#ending);
    // Ended both ways, the channel closes by itself once it has sent what it holds; an abort could lose the last of it.
    if (this.#ending === 'done' && this.#socketEof && this.#channelEof) return;
    if (this.#ending === 'done') this.#ending = 'reset';
    this.#channel.abort();
  }

  /** The far side has closed: the peer gets what is queued, then FIN; as with ssh, what it still writes then meets RST. */
  #closeSocket(): void {
    this.#socket.resume(); // unread bytes in the kernel would turn the close into a reset that overtakes our data
    this.#socket.destroySoon();
  }
}
