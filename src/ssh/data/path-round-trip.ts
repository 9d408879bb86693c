/** A path may become longer, and what was the shortest round trip is then never seen again. */
const BUCKET_MS = 60_000;

/**
 * How long the path of a connection is: its shortest round trip of the last one to two minutes, for what waits in queues is not the path's.
 * Where little was measured while the connection was quiet, what was known before stays: a queue that stands for minutes must not be
 * taken for a longer path.
 */
export class PathRoundTrip {
  #beforeMs = Infinity;
  #ms = Infinity;
  #sinceMs = -Infinity;
  /** Whether this bucket has a measurement of a quiet connection, and may so come to replace the one before. */
  #measured = false;

  /** Undefined before the first. */
  get ms(): number | undefined {
    const ms = Math.min(this.#beforeMs, this.#ms);
    return ms === Infinity ? undefined : ms;
  }

  /** Whether nothing was measured for a minute or so while the connection was quiet. */
  stale(nowMs: number): boolean {
    return !this.#measured || nowMs - this.#sinceMs >= BUCKET_MS;
  }

  /** @param quiet whether too little else was under way meanwhile to have made a queue; otherwise it may only be shorter than thought */
  saw(ms: number, nowMs: number, quiet: boolean): void {
    if (quiet) this.#turn(nowMs);
    if (quiet || ms < this.#beforeMs) this.#ms = Math.min(this.#ms, ms);
    this.#measured ||= quiet;
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#sinceMs < BUCKET_MS) return;
    if (this.#ms !== Infinity) this.#beforeMs = this.#ms;
    this.#ms = Infinity;
    this.#measured = false;
    this.#sinceMs = nowMs;
  }
}
