/** So long the client has to answer what came, which acknowledges it at no cost. The kernel would take 40 ms. */
const ANSWER_MS = 2;

/**
 * Has the last bytes of a connection acknowledged soon after they came. sshd leaves Nagle's algorithm on but for terminals: a small
 * packet waits there until the one before it is acknowledged (RFC 896), and where nothing is sent a kernel takes its time for that (RFC
 * 1122 section 4.2.3.2). So a body behind its head, or the end of a long answer, came 40 ms late.
 */
export class PromptAck {
  readonly #sentBytes: () => number;
  readonly #acknowledge: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** Since the timer was set. */
  #heardMore = false;
  #sentBefore = 0;

  /** @param sentBytes of the connection so far @param acknowledge sends something small */
  constructor(sentBytes: () => number, acknowledge: () => void) {
    this.#sentBytes = sentBytes;
    this.#acknowledge = acknowledge;
  }

  /** Data has come. */
  heard(): void {
    if (this.#timer === undefined) this.#wait();
    else this.#heardMore = true;
  }

  /** The connection has ended. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#heardMore = false;
    this.#sentBefore = this.#sentBytes();
    this.#timer = setTimeout(() => this.#look(), ANSWER_MS);
  }

  /** One timer, however much comes: it waits on while more does. */
  #look(): void {
    this.#timer = undefined;
    if (this.#heardMore) this.#wait();
    else if (this.#sentBytes() === this.#sentBefore) this.#acknowledge();
  }
}
