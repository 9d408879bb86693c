/** So long the client has to answer what came, which acknowledges it at no cost. The kernel would take 40 ms. */
const ANSWER_MS = 2;
/**
 * So many such periods in a row, each with an answer, are a conversation that acknowledges itself, and is left alone for as long as it does
 * not pause: with a timer that short each wait for the next event costs the kernel more, up to a fifth of a round.
 */
const CONVERSATION = 20;
/** What comes so long after what was before it, and was not asked for, was kept back. */
const LATE_MS = 20;
/** After each such, so many times as many periods are waited for. */
const CAUTION = 4;
/** Forty seconds without a pause. */
const LONGEST_CONVERSATION = CONVERSATION * CAUTION ** 5;

/**
 * Has the last bytes of a connection acknowledged soon after they came. sshd leaves Nagle's algorithm on but for terminals: a small
 * packet waits there until the one before it is acknowledged (RFC 896), and where nothing is sent a kernel takes its time for that (RFC
 * 1122 section 4.2.3.2). So a body behind its head, or the end of a long answer, came 40 ms late. One may still do so in the middle of a
 * long conversation that never paused; the next one only when that has gone on for four times as long.
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
  #conversation = CONVERSATION;
  /** When data came last, or the timer was given up. */
  #heardMs = -Infinity;

  /** @param sentBytes of the connection so far @param acknowledge sends something small */
  constructor(sentBytes: () => number, acknowledge: () => void) {
    this.#sentBytes = sentBytes;
    this.#acknowledge = acknowledge;
  }

  /** Data has come. */
  heard(): void {
    if (this.#timer !== undefined) this.#heardMore = true;
    else if (this.#answered < this.#conversation || !this.#goesOn()) this.#wait();
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
    } else if (this.#answered < this.#conversation) this.#wait();
    else this.#rest();
  }

  /** What is asked already, and not yet answered, counts as asked after this. */
  #rest(): void {
    this.#heardMs = performance.now();
    this.#sentBefore = -1;
  }

  /** Whether a conversation without a timer does: an answer that took its time may be a head, whose body waits for us. */
  #goesOn(): boolean {
    const nowMs = performance.now();
    const gapMs = nowMs - this.#heardMs;
    this.#heardMs = nowMs;
    const sent = this.#hasSent();
    if (!sent && gapMs >= LATE_MS) this.#wasLate();
    return sent && gapMs < ANSWER_MS;
  }

  #wasLate(): void {
    this.#answered = 0;
    this.#conversation = Math.min(LONGEST_CONVERSATION, CAUTION * this.#conversation);
  }

  /** Since it was asked last, or the timer was set. */
  #hasSent(): boolean {
    const sentBytes = this.#sentBytes();
    const sent = sentBytes !== this.#sentBefore;
    this.#sentBefore = sentBytes;
    return sent;
  }
}
