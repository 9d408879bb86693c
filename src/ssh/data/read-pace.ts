/** When a connection reads on: at once, once the others had their turn, or after a rest. */
export type Pace = 'at once' | 'next turn' | 'rested';

/** Long enough to know a rate, short enough to follow it. */
const LOOK_MS = 4;
/** 100 MB/s: what comes more slowly is too little in a rest's time to be worth one. */
const FAST_BYTES_PER_MS = 100_000;
/** What a server that has more to send fills its packets with: as much as ssh2 1.17.0 and OpenSSH allow each other. */
export const FULL_PACKET_BYTES = 32 * 1024;
/** So long a connection counts as shared after another channel had data: longer than a person's pauses between two keys. */
const SHARED_MS = 1_000;

/** What came with one read. */
export interface ReadFacts {
  readonly bytes: number;
  /** It filled the memory: there may be more. */
  readonly full: boolean;
  /** Of the last packet of data in it; 0 for none. */
  readonly lastDataBytes: number;
  /** Its data was not all for the channel that had the data before. */
  readonly shared: boolean;
}

/**
 * Decides how a connection goes on after each read. A server at full speed wakes its client for every packet, which costs both of them
 * more than the packet: half of a download's CPU time. So a fast connection whose last packet was full, which says that more is on
 * its way, lets the network gather for a moment. An answer that is over ends in a packet that is not full: nobody waits there. Nor does a
 * connection rest that has other channels at work: their bytes would wait too, and with many of them reads are large by themselves.
 */
export class ReadPace {
  #sinceMs = -Infinity;
  #bytes = 0;
  #fast = false;
  #switchedMs = -Infinity;
  #sharedMs = -Infinity;

  after({ bytes, full, lastDataBytes, shared }: ReadFacts, nowMs: number): Pace {
    this.#look(bytes, nowMs);
    if (shared) this.#switched(nowMs);
    if (full) return 'next turn';
    const alone = nowMs - this.#sharedMs >= SHARED_MS;
    return alone && this.#fast && lastDataBytes >= FULL_PACKET_BYTES ? 'rested' : 'at once';
  }

  /** One that follows another has the connection alone: only where it goes to and fro are there two at work. */
  #switched(nowMs: number): void {
    if (nowMs - this.#switchedMs < SHARED_MS) this.#sharedMs = nowMs;
    this.#switchedMs = nowMs;
  }

  #look(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < LOOK_MS) return;
    this.#fast = this.#bytes / elapsedMs >= FAST_BYTES_PER_MS;
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }
}
