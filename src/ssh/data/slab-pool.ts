/** A stretch of memory in which outgoing packets are built one behind the other. */
export interface Slab {
  readonly bytes: Buffer;
  /** Writes under way that read from it. It may be used anew at 0. */
  writes: number;
}

/** Room for two writes of the size at which a batch goes out by itself. */
export const SLAB_BYTES = 512 * 1024;
/** 4 MiB that stay when all connections are quiet. */
const MOST_FREE = 8;

/** Slabs for all connections of a supervisor, so that a quiet connection holds none. */
export class SlabPool {
  readonly #free: Slab[] = [];

  take(): Slab {
    return this.#free.pop() ?? { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), writes: 0 };
  }

  /** The giver uses it no more; nothing may be under way from it. */
  give(slab: Slab): void {
    if (this.#free.length < MOST_FREE) this.#free.push(slab);
  }
}
