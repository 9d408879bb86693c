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

/** What a channel needs on a path without any length where it has it not for itself: less leaves the sender waiting. */
const SHARED_WINDOW_BYTES = 256 * 1024;
/** Machines beside one another. On a longer path whoever sends in bursts would wait a round trip more for each. */
const SHORT_PATH_MS = 2;
/** A channel that has no more than this of all that comes is one of many. */
const SMALL_SHARE = 1 / 6;

/** The connection that a channel belongs to. */
export interface Path {
  /** Without what waits in queues; undefined before the first one was seen. */
  readonly roundTripMs: () => number | undefined;
  /** Of all channels, ever. */
  readonly receivedBytes: () => number;
  /** Whether somebody speaks in between, and should not wait behind what others are sent. */
  readonly isShared: (nowMs: number) => boolean;
}

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
 *
 * On a short path a window that was used up is renewed to the base only for a channel that has the connection for itself: a server reads its sources on
 * as far as the windows go while its own socket is full, which costs it time where they are many, and all that is under way lies before what
 * another channel is told.
 */
export class WindowGrowth {
  readonly #budget: WindowBudget;
  #targetBytes = BASE_WINDOW_BYTES;
  /** More is not renewed. */
  #mostBytes = Infinity;
  /** What the budget counts: all that was given beyond the base and may still come, also where less is aimed at by now. */
  #grantedBytes = 0;
  #seenBytes = 0;
  #sinceMs: number | undefined;
  #sinceBytes = 0;

  constructor(budget: WindowBudget) {
    this.#budget = budget;
  }

  get targetBytes(): number {
    return this.#targetBytes;
  }

  /** The reader took so much. */
  took(bytes: number, nowMs: number, path: Path): void {
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs; // these bytes came in a time that nobody measured
      this.#sinceBytes = path.receivedBytes();
      return;
    }
    this.#seenBytes += bytes;
    const roundTripMs = path.roundTripMs();
    if (roundTripMs === undefined) return;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < Math.max(roundTripMs, SHORTEST_LOOK_MS)) return;
    const wantedBytes = Math.ceil((2 * this.#seenBytes * roundTripMs) / elapsedMs);
    this.#aim(wantedBytes);
    const allBytes = path.receivedBytes();
    const isSmall = this.#seenBytes <= (allBytes - this.#sinceBytes) * SMALL_SHARE;
    const isHeld = roundTripMs <= SHORT_PATH_MS && (isSmall || path.isShared(nowMs));
    this.#mostBytes = isHeld ? Math.max(wantedBytes, SHARED_WINDOW_BYTES) : Infinity;
    this.#seenBytes = 0;
    this.#sinceBytes = allBytes;
    this.#sinceMs = nowMs;
  }

  /**
   * @param openBytes what the sender may still send
   * @param queuedBytes what has come and was not taken
   * @returns by how much to widen; 0 for not yet
   */
  due(openBytes: number, queuedBytes: number): number {
    this.#keep(Math.max(this.#targetBytes, openBytes + queuedBytes) - BASE_WINDOW_BYTES);
    const renewedBytes = this.#renewedBytes;
    const missing = renewedBytes - openBytes - queuedBytes;
    return missing >= renewedBytes * ADJUST_SHARE ? missing : 0;
  }

  /** @returns what the base would have room for, and the sender is not given */
  withheld(openBytes: number): number {
    return Math.max(0, BASE_WINDOW_BYTES - Math.max(this.#renewedBytes, openBytes));
  }

  /** The channel has closed. Safe to call twice. */
  close(): void {
    this.#targetBytes = BASE_WINDOW_BYTES;
    this.#keep(0);
  }

  get #renewedBytes(): number {
    return Math.min(this.#targetBytes, this.#mostBytes);
  }

  #aim(wantedBytes: number): void {
    const bounded = Math.min(MOST_WINDOW_BYTES, 2 * this.#targetBytes, wantedBytes);
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
