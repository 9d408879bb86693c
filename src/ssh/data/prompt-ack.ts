/** So long the client has to answer what came, which acknowledges it at no cost. The kernel would take 40 ms. */
const ANSWER_MS = 2;
/**
 * So many such periods in a row, each with an answer, are a conversation that acknowledges itself, and is left alone until an answer fails
 * to come: a timer that short made each round of it a fifth slower.
 */
const CONVERSATION = 4;

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
  /** Periods in a row in which the client answered. */
  #answered = 0;

  /** @param sentBytes of the connection so far @param acknowledge sends something small */
  constructor(sentBytes: () => number, acknowledge: () => void) {
    this.#sentBytes = sentBytes;
    this.#acknowledge = acknowledge;
  }

  /** Data has come. */
  heard(): void {
    if (this.#timer !== undefined) this.#heardMore = true;
    else if (this.#answered < CONVERSATION || !this.#hasSent()) this.#wait();
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
    const answered = this.#hasSent();
    this.#answered = answered ? this.#answered + 1 : 0;
    if (!this.#heardMore) {
      if (!answered) this.#acknowledge();
    } else if (this.#answered < CONVERSATION) this.#wait();
  }

  /** Since it was asked last, or the timer was set. */
  #hasSent(): boolean {
    const sentBytes = this.#sentBytes();
    const sent = sentBytes !== this.#sentBefore;
    this.#sentBefore = sentBytes;
    return sent;
  }
}
