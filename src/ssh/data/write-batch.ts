import type { Duplex } from 'node:stream';
import { SLAB_BYTES, type Slab, type SlabPool } from './slab-pool.ts';

/** A batch of this size does not wait for the end of the turn. */
const FULL_BYTES = SLAB_BYTES / 2;
/** Copying so little costs less than a write of its own. */
const SMALL_BYTES = 4 * 1024;

const known = new WeakMap<Duplex, WriteBatch>();

/** The batch of a stream that has one. */
export function writeBatchOf(stream: Duplex): WriteBatch | undefined {
  return known.get(stream);
}

/**
 * Gathers what is written to a stream in one turn of the event loop and writes it at once. Whoever builds its packets in
 * `room` has them sent from there without a copy. Order is kept, also against larger buffers and the end of the stream.
 */
export class WriteBatch {
  readonly #stream: Duplex;
  readonly #pool: SlabPool;
  readonly #write: Duplex['write'];
  #slab: Slab | undefined;
  /** The part of the slab that waits: everything before `#from` has been written, and `#end` is where room begins. */
  #from = 0;
  #end = 0;
  #scheduled = false;
  #corked = false;

  private constructor(stream: Duplex, pool: SlabPool) {
    this.#stream = stream;
    this.#pool = pool;
    this.#write = stream.write.bind(stream);
  }

  /** Writes at once what was gathered: for a packet that should not wait for the rest of the turn. */
  send(): void {
    this.#flush();
  }

  /** From now on, what anybody writes to the stream goes through the batch. */
  static over(stream: Duplex, pool: SlabPool): WriteBatch {
    const batch = new WriteBatch(stream, pool);
    known.set(stream, batch);
    const end: unknown = stream.end.bind(stream);
    stream.write = (chunk: unknown, ...rest: unknown[]): boolean => batch.#take(chunk, rest);
    stream.end = (...rest: unknown[]): Duplex => {
      batch.#flush();
      if (typeof end === 'function') Reflect.apply(end, stream, rest);
      return stream;
    };
    return batch;
  }

  /**
   * Where the next packet may be built: the stream's next `write` must be handed this very memory, or the beginning of it.
   * Nothing is sent of what is never written.
   * @param bytes at most SLAB_BYTES
   */
  room(bytes: number): Buffer {
    let slab = this.#slab;
    if (slab === undefined || this.#end + bytes > SLAB_BYTES) {
      this.#flush();
      slab = this.#slab = this.#pool.take();
      this.#from = this.#end = 0;
    }
    return slab.bytes.subarray(this.#end, this.#end + bytes);
  }

  #take(chunk: unknown, rest: unknown[]): boolean {
    if (this.#stream.destroyed || this.#stream.writableEnded || !Buffer.isBuffer(chunk) || rest.length > 0) {
      this.#flush();
      return Boolean(Reflect.apply(this.#write, this.#stream, [chunk, ...rest]));
    }
    if (!this.#isBuiltHere(chunk)) {
      if (chunk.length > SMALL_BYTES) {
        this.#hold();
        this.#cork();
        this.#flush();
        return this.#write(chunk);
      }
      this.room(chunk.length).set(chunk);
    }
    this.#end += chunk.length;
    if (this.#end - this.#from >= FULL_BYTES) this.#flush();
    else this.#hold();
    return !this.#stream.writableNeedDrain;
  }

  #isBuiltHere(chunk: Buffer): boolean {
    const bytes = this.#slab?.bytes;
    return bytes?.buffer === chunk.buffer && chunk.byteOffset === bytes.byteOffset + this.#end;
  }

  /** The check phase comes when all sockets that had something to say have been read. */
  #hold(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#corked) this.#stream.uncork();
      this.#corked = false;
    });
  }

  /** Larger buffers go out beside the batch, with one writev for all of the turn. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#stream.cork();
  }

  #flush(): void {
    const slab = this.#slab;
    if (slab === undefined) return;
    const { bytes } = slab;
    const batch = bytes.subarray(this.#from, this.#end);
    this.#from = this.#end;
    if (batch.length === 0 || this.#stream.destroyed) return;
    slab.writes += 1;
    this.#write(batch, () => this.#written(slab));
  }

  #written(slab: Slab): void {
    slab.writes -= 1;
    if (slab.writes > 0) return;
    if (slab === this.#slab) {
      if (this.#from !== this.#end) return;
      this.#slab = undefined;
    }
    this.#pool.give(slab);
  }
}
