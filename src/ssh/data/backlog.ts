/** So many chunks wait as they came; from then on small ones are put together. */
const FEW_CHUNKS = 64;
const SMALL_BYTES = 4 * 1024;
const PAGE_BYTES = 16 * 1024;

/**
 * What a channel keeps for a reader that is not there, in order. A server may send a full window in packets of some bytes: they are put
 * together, since half a million buffers of four bytes cost a hundred times their content, and seconds to be handed over one by one.
 */
export class Backlog {
  bytes = 0;
  readonly #chunks: Buffer[] = [];
  /** Small chunks, back to back, that come after the others. */
  #page: Buffer | undefined;
  #used = 0;

  /** @param chunk belongs to the backlog from now on */
  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (chunk.length < SMALL_BYTES && this.#chunks.length >= FEW_CHUNKS) return this.#gather(chunk);
    this.#closePage();
    this.#chunks.push(chunk);
  }

  /** Undefined where nothing waits. */
  shift(): Buffer | undefined {
    if (this.#chunks.length === 0) this.#closePage();
    const chunk = this.#chunks.shift();
    this.bytes -= chunk?.length ?? 0;
    return chunk;
  }

  #gather(chunk: Buffer): void {
    if (this.#used + chunk.length > PAGE_BYTES) this.#closePage();
    this.#page ??= Buffer.allocUnsafeSlow(PAGE_BYTES);
    this.#page.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  #closePage(): void {
    if (this.#page !== undefined) this.#chunks.push(this.#page.subarray(0, this.#used));
    this.#page = undefined;
    this.#used = 0;
  }
}
