import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../model/clock.ts';

/** After the last connection that ended: long enough that a busy tunnel is never interrupted by it. */
const QUIET_MS = 2_000;
/** Less than this is not worth a pause of some ten milliseconds. */
const WORTH_BYTES = 48 * 1024 * 1024;

/**
 * Gives the system back what finished connections held. V8 collects the buffers of a process that has become idle when it finds
 * the time, which may be never: seen after 100 clients that read nothing, 260 MB that stayed for good.
 */
export class GiveBack {
  readonly #clock: Clock;
  readonly #collect: () => void;
  #leastBytes = Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, collect = collectGarbage) {
    this.#clock = clock;
    this.#collect = collect;
  }

  /** A connection has ended. */
  ended(): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(QUIET_MS, () => this.#quiet());
  }

  stop(): void {
    this.#cancel?.();
  }

  #quiet(): void {
    this.#cancel = undefined;
    const bytes = process.memoryUsage.rss();
    if (bytes - this.#leastBytes > WORTH_BYTES || this.#leastBytes === Infinity) this.#collect();
    this.#leastBytes = Math.min(this.#leastBytes, process.memoryUsage.rss());
  }
}

/** The collector is not on sale without a flag; a flag set now serves every context made from now on. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void; // as node:v8 documents for --expose-gc
  collect();
}
