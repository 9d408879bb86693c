import type { Duplex } from 'node:stream';
import { writeBatchOf } from './write-batch.ts';

/** A channel that was told to wait. */
export interface Held {
  /** There is room again; it may hold itself anew. */
  release(): void;
}

/**
 * Most bytes that may wait in one stream on the way. ssh2 1.17.0 ignores what a socket's `write` says, so that up to one
 * window (2 MiB) for each channel piles up there, and a keepalive waits behind it: 20 channels made 38 MB.
 */
const MOST_QUEUED_BYTES = 256 * 1024;

/** The way out of a connection: its own stream and those of the hops beneath it. Says when to hold sources back. */
export class Uplink {
  readonly #streams: readonly Duplex[];
  readonly #closed: () => boolean;
  readonly #held = new Set<Held>();

  /** @param closed whether what is sent now waits elsewhere, uncounted, as while keys are exchanged: `goOn` follows */
  constructor(streams: readonly Duplex[], closed: () => boolean) {
    this.#streams = streams;
    this.#closed = closed;
    for (const stream of streams) stream.on('drain', () => this.goOn());
  }

  get full(): boolean {
    const crowded = (stream: Duplex): boolean => stream.writableNeedDrain && stream.writableLength > MOST_QUEUED_BYTES;
    return this.#closed() || this.#streams.some(crowded);
  }

  /** Sends at once what was written in this turn. */
  hurry(): void {
    for (const stream of this.#streams.toReversed()) writeBatchOf(stream)?.send();
  }

  /** Released in the order of holding, so that no channel starves behind a greedy one. */
  hold(channel: Held): void {
    this.#held.add(channel);
  }

  forget(channel: Held): void {
    this.#held.delete(channel);
  }

  /** There may be room again. */
  goOn(): void {
    for (const channel of [...this.#held]) {
      if (this.full) return;
      this.#held.delete(channel);
      channel.release();
    }
  }
}
