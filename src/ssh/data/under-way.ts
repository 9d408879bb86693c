/**
 * Bytes under way that a path without any length needs: OpenSSH widens a window when more than 96 KiB of it were used (channels.c,
 * channel_check_window), and would never do so for less.
 */
const FLOOR_BYTES = 128 * 1024;
/** With what a path holds, a quarter more, so that it shows when the path bears more. */
const GAIN = 1.25;
/** Shorter measurements say more of the event loop's turns than of the path. */
const SHORTEST_LOOK_MS = 5;
/** A busy server, or its target, takes so long now and then. */
const SHORTEST_PATIENCE_MS = 200;
/** A longer one says that there was nothing to send. */
const LONGEST_GAP_MS = 2_000;
/** So many widenings in a row, each in time, and a server that had stalled is held to half as much again. */
const STEADY = 64;

/**
 * How many bytes of one channel should be under way, sent and not yet answered by a wider window, so that little stands before a byte of
 * another channel and the rate stays: a fixed part, and what the path holds by the rate at which the window is widened.
 */
export class UnderWay {
  #floorBytes = FLOOR_BYTES;
  #leastAdjust = Infinity;
  #pathBytes = 0;
  #seenBytes = 0;
  #sinceMs = -Infinity;
  #adjustedMs: number | undefined;
  #gapMs = 0;
  /** Widenings in a row that came within patience. */
  #steady = 0;
  #mostSteady = STEADY;
  #halved = false;

  /** Infinity before the server has widened the window once. It may do so by halves only, as ssh2's does: never under twice its least step. */
  get mostBytes(): number {
    return Math.max(this.#floorBytes + this.#pathBytes, 2 * this.#leastAdjust);
  }

  /** The server widened the window. @param roundTripMs the path's; undefined before the first one was seen */
  adjusted(bytes: number, nowMs: number, roundTripMs: number | undefined): void {
    this.#leastAdjust = Math.min(this.#leastAdjust, bytes);
    this.#paced(nowMs - (this.#adjustedMs ?? nowMs), roundTripMs);
    this.#adjustedMs = nowMs;
    this.#seenBytes += bytes;
    if (roundTripMs === undefined) return;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < Math.max(roundTripMs, SHORTEST_LOOK_MS)) return;
    this.#pathBytes = (GAIN * this.#seenBytes * roundTripMs) / elapsedMs;
    this.#seenBytes = 0;
    this.#sinceMs = nowMs;
  }

  /** How long a server that goes on in its manner takes at most to widen the window again. */
  patienceMs(roundTripMs: number | undefined): number {
    return Math.max(SHORTEST_PATIENCE_MS, 4 * (roundTripMs ?? 0), 4 * this.#gapMs);
  }

  /** Nothing came within that time: it waits for more than it was given, or its target has a slow phase. */
  stalled(): void {
    this.#steady = 0;
    this.#floorBytes *= 2;
    if (this.#halved) this.#mostSteady *= 2; // the half was too little
    this.#halved = false;
  }

  #paced(gapMs: number, roundTripMs: number | undefined): void {
    this.#steady = gapMs < this.patienceMs(roundTripMs) ? this.#steady + 1 : 0;
    this.#gapMs += (Math.min(LONGEST_GAP_MS, gapMs) - this.#gapMs) / 4;
    if (this.#steady < this.#mostSteady || this.#floorBytes === FLOOR_BYTES) return;
    this.#steady = 0;
    this.#halved = true;
    this.#floorBytes /= 2;
  }
}
