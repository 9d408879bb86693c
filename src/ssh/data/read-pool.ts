/** No packet that ssh2 1.17.0 takes is longer, its tag and lengths apart (MAX_PACKET_SIZE). */
export const LONGEST_PACKET = 35_000;

/** A stretch of memory that the network is read into, again and again. */
export interface ReadMemory {
  readonly bytes: Buffer;
  /** Where a packet was put together that began in an earlier read and ended in this one. */
  split: Buffer | undefined;
  /** Who still needs what was read into it last. */
  holds: number;
  /** Somebody may keep a part of it for good: it is left to the collector. */
  spoiled: boolean;
  /** How much its connection had read when it was full of this. */
  endsAt: number;
}

/** Four times Node's own: eight packets of data in one system call. */
export const READ_BYTES = 256 * 1024;
/** 2 MiB that stay when all connections are quiet. */
const MOST_FREE = 8;

/** Memory to read into, for all connections of a supervisor. Only what was ever read into it is resident. */
export class ReadPool {
  readonly #free: ReadMemory[] = [];
  readonly #splits: Buffer[] = [];

  take(): ReadMemory {
    return (
      this.#free.pop() ?? {
        bytes: Buffer.allocUnsafeSlow(READ_BYTES),
        split: undefined,
        holds: 0,
        spoiled: false,
        endsAt: Infinity,
      }
    );
  }

  /** Memory for one packet that comes in two reads. */
  takeSplit(): Buffer {
    return this.#splits.pop() ?? Buffer.allocUnsafeSlow(LONGEST_PACKET);
  }

  /** Nobody needs any of it. */
  give(memory: ReadMemory): void {
    const { split } = memory;
    memory.split = undefined;
    if (split !== undefined && this.#splits.length < MOST_FREE) this.#splits.push(split);
    if (this.#free.length < MOST_FREE) this.#free.push(memory);
  }
}
