/** A write for each packet, out of the slab that it was built in. */
import type { Duplex } from 'node:stream';
import { SLAB_BYTES, type Slab, type SlabPool } from '../../../src/ssh/data/slab-pool.ts';
import type { writeBatchOf as real } from '../../../src/ssh/data/write-batch.ts';

export class WriteBatch {
  readonly #pool: SlabPool;
  readonly #write: Duplex['write'];
  #slab: Slab | undefined;
  #end = 0;

  private constructor(stream: Duplex, pool: SlabPool) {
    this.#pool = pool;
    this.#write = stream.write.bind(stream);
  }

  static over(stream: Duplex, pool: SlabPool): WriteBatch {
    const batch = new WriteBatch(stream, pool);
    stream.write = (chunk: unknown, ...rest: unknown[]): boolean => batch.#take(chunk, rest);
    return batch;
  }

  room(bytes: number): Buffer {
    if (this.#slab === undefined || this.#end + bytes > SLAB_BYTES) {
      this.#slab = this.#pool.take();
      this.#end = 0;
    }
    return this.#slab.bytes.subarray(this.#end, this.#end + bytes);
  }

  #take(chunk: unknown, rest: unknown[]): boolean {
    const slab = this.#slab;
    if (slab === undefined || !Buffer.isBuffer(chunk) || slab.bytes.buffer !== chunk.buffer)
      return Boolean(Reflect.apply(this.#write, undefined, [chunk, ...rest]));
    this.#end += chunk.length;
    slab.writes += 1;
    return this.#write(chunk, () => this.#written(slab));
  }

  #written(slab: Slab): void {
    slab.writes -= 1;
    if (slab.writes > 0) return;
    if (slab === this.#slab) this.#slab = undefined;
    this.#pool.give(slab);
  }
}

/** Nothing is gathered, so there is nothing to send sooner. */
export const writeBatchOf: typeof real = () => undefined;
