import { createCipheriv } from 'node:crypto';

/** What one direction of a connection carries: bytes that whoever knows the seed can check wherever a stream is cut. */
export class ByteFlow {
  #bytes = 0;
  readonly #seed: number;
  readonly #next: (bytes: number) => Buffer;

  constructor(seed: number) {
    const key = Buffer.alloc(16);
    key.writeUInt32BE(seed >>> 0);
    const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
    this.#seed = seed;
    this.#next = (bytes) => stream.update(Buffer.alloc(bytes));
  }

  /** So many have been made, or were checked. */
  get bytes(): number {
    return this.#bytes;
  }

  make(bytes: number): Buffer {
    this.#bytes += bytes;
    return this.#next(bytes);
  }

  /** @throws where it is not what comes next */
  check(chunk: Buffer): void {
    const expected = this.#next(chunk.length);
    const at = chunk.equals(expected) ? -1 : chunk.findIndex((byte, index) => byte !== expected[index]);
    if (at >= 0) throw new Error(`Flow ${this.#seed} has a wrong byte at ${this.#bytes + at}`);
    this.#bytes += chunk.length;
  }
}
