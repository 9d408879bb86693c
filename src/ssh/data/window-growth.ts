const MIB = 1024 * 1024;

/** What ssh2, as OpenSSH, gives every channel. */
export const BASE_WINDOW_BYTES = 2 * MIB;
/** What one channel may be given: 640 MB/s at a round trip of 100 ms. */
export const MOST_WINDOW_BYTES = 64 * MIB;
/** What all channels of a supervisor may be given on top of the base. All of it may come in before anybody reads. */
const BUDGET_BYTES = 256 * MIB;

/** Shorter measurements say more of the event loop's turns than of the path. */
const SHORTEST_LOOK_MS = 5;
/** Saying it more often costs packets, more seldom leaves the sender waiting. */
const ADJUST_SHARE = 1 / 4;

/** What the channels of a supervisor share. */
export class WindowBudget {
  readonly #mostBytes: number;
  #grantedBytes = 0;

  constructor(mostBytes = BUDGET_BYTES) {
    this.#mostBytes = mostBytes;
  }

  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  /** Three quarters are given away: whoever does not use its part gives it back. */
  get scarce(): boolean {
    return this.#grantedBytes > this.#mostBytes * 0.75;
  }

  /** @returns how much of it there is: half of the rest at most, so that the next one finds something too */
  take(bytes: number): number {
    const granted = Math.min(bytes, Math.floor((this.#mostBytes - this.#grantedBytes) / 2));
    this.#grantedBytes += granted;
    return granted;
  }

  giveBack(bytes: number): void {
    this.#grantedBytes -= bytes;
  }
}

/**
 * How large one channel's receive window should be. It is twice what its reader took within one round trip, and so
 * doubles with each round trip for as long as the window is what holds the sender back; a reader that stands still
 * earns nothing.
 */
export class WindowGrowth {
  readonly #budget: WindowBudget;
  #targetBytes = BASE_WINDOW_BYTES;
  /** What the budget counts: all that was given beyond the base and may still come, also where less is aimed at by now. */
  #grantedBytes = 0;
  #seenBytes = 0;
  #sinceMs: number | undefined;

  constructor(budget: WindowBudget) {
    this.#budget = budget;
  }

  get targetBytes(): number {
    return this.#targetBytes;
  }

  /** The reader took so much. @param roundTripMs the shortest one seen on this connection; undefined before the first */
  took(bytes: number, nowMs: number, roundTripMs: number | undefined): void {
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs; // these bytes came in a time that nobody measured
      return;
    }
    this.#seenBytes += bytes;
    if (roundTripMs === undefined) return;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < Math.max(roundTripMs, SHORTEST_LOOK_MS)) return;
    this.#aim((2 * this.#seenBytes * roundTripMs) / elapsedMs);
    this.#seenBytes = 0;
    this.#sinceMs = nowMs;
  }

  /**
   * @param openBytes what the sender may still send
   * @param queuedBytes what has come and was not taken
   * @returns by how much to widen; 0 for not yet
   */
  due(openBytes: number, queuedBytes: number): number {
    this.#keep(Math.max(this.#targetBytes, openBytes + queuedBytes) - BASE_WINDOW_BYTES);
    const missing = this.#targetBytes - openBytes - queuedBytes;
    return missing >= this.#targetBytes * ADJUST_SHARE ? missing : 0;
  }

  /** The channel has closed. Safe to call twice. */
  close(): void {
    this.#targetBytes = BASE_WINDOW_BYTES;
    this.#keep(0);
  }

  #aim(wantedBytes: number): void {
    const bounded = Math.min(MOST_WINDOW_BYTES, 2 * this.#targetBytes, Math.ceil(wantedBytes));
    if (bounded > this.#targetBytes) this.#growTo(bounded);
    else if (this.#budget.scarce && bounded < this.#targetBytes / 2)
      this.#targetBytes = Math.max(bounded, BASE_WINDOW_BYTES);
  }

  #growTo(bytes: number): void {
    const more = bytes - BASE_WINDOW_BYTES - this.#grantedBytes;
    if (more > 0) this.#grantedBytes += this.#budget.take(more);
    this.#targetBytes = Math.min(bytes, BASE_WINDOW_BYTES + this.#grantedBytes);
  }

  /** A window that was given cannot be taken back (RFC 4254 section 5.2): what is too much goes back as the sender uses it up. */
  #keep(bytes: number): void {
    if (bytes >= this.#grantedBytes) return;
    this.#budget.giveBack(this.#grantedBytes - bytes);
    this.#grantedBytes = bytes;
  }
}
