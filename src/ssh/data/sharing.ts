/** So long a connection counts as shared after somebody spoke in between: longer than a person's pauses between two keys. */
const SHARED_MS = 1_000;
/** A request, some keys: what sends more at a time has much to send. */
const SMALL_BYTES = 4 * 1024;

/** One channel, as others see it. */
export interface Sender {
  /** When it sent something small, and nothing larger since. */
  smallMs: number;
  /** Whose turn it was then. */
  smallTurn: number;
}

/**
 * Whether somebody speaks in between on a connection that carries much: a channel that sends something small again and
 * again, while others send, or are sent, too. Only then must those leave it room. Several uploads or downloads, with the few
 * words that each begins with, are none of that, and neither is one connection that follows another.
 */
export class Sharing {
  #last: Sender | undefined;
  #turn = 0;
  #sharedMs = -Infinity;
  /** When somebody sent, or was sent, more than a few words. */
  #muchMs = -Infinity;

  /** To be called before anything is sent. @returns whether it is said in between, and the rest should not make it wait */
  sends(sender: Sender, bytes: number): boolean {
    this.#takesTurn(sender);
    const nowMs = performance.now();
    if (bytes < SMALL_BYTES) return this.#speaks(sender, nowMs);
    sender.smallMs = -Infinity;
    this.#muchMs = nowMs;
    return false;
  }

  /** Something has come: much of it is a turn as well. Whoever is answered much still speaks in between. */
  receives(sender: Sender, bytes: number): void {
    if (bytes < SMALL_BYTES) return;
    this.#takesTurn(sender);
    this.#muchMs = performance.now();
  }

  at(nowMs: number): boolean {
    return nowMs - this.#sharedMs < SHARED_MS;
  }

  #takesTurn(sender: Sender): void {
    if (sender !== this.#last) this.#turn += 1;
    this.#last = sender;
  }

  #speaks(sender: Sender, nowMs: number): boolean {
    const again = sender.smallTurn !== this.#turn && nowMs - sender.smallMs < SHARED_MS;
    if (again && nowMs - this.#muchMs < SHARED_MS) this.#sharedMs = nowMs;
    sender.smallMs = nowMs;
    sender.smallTurn = this.#turn;
    return this.at(nowMs);
  }
}
