/** Eight packets of data. */
const PAGE_BYTES = 256 * 1024;
/** What is smaller goes where Node puts small buffers: a page of its own would cost more than it holds. */
const SMALL_BYTES = 4 * 1024;

/**
 * Copies of what one channel has to keep waiting, back to back in pages that the collector gives back to the system as soon as
 * none of their chunks is in use. A resizable ArrayBuffer has memory of its own from the system; all others come out of the heap
 * of the C library, which keeps pages that lie below anything in use: a burst of clients that read nothing stayed
 * resident for good (docs/decisions/0010). A page belongs to one channel, so that one that stands still holds nobody else's.
 */
export class Stash {
  /** Lives as long as its chunks do: a channel that has nothing waiting has no page. */
  #page: WeakRef<ArrayBuffer> | undefined;
  #used = 0;

  copy(chunk: Buffer): Buffer {
    if (chunk.length < SMALL_BYTES) return Buffer.from(chunk);
    const copied = Buffer.from(this.#room(chunk.length), this.#used, chunk.length);
    copied.set(chunk);
    this.#used += chunk.length;
    return copied;
  }

  /** All chunks were used up: their page, where it is still there, takes the next ones. A fresh one for each chunk is the collector's work. */
  reuse(): void {
    this.#used = 0;
  }

  #room(bytes: number): ArrayBuffer {
    const page = this.#page?.deref();
    if (page !== undefined && this.#used + bytes <= page.byteLength) return page;
    const size = Math.max(PAGE_BYTES, bytes);
    const fresh = new ArrayBuffer(size, { maxByteLength: size });
    this.#page = new WeakRef(fresh);
    this.#used = 0;
    return fresh;
  }
}
