import type { Clock } from '../model/clock.ts';

/** How often the clocks and the network are looked at. Each look costs some microseconds. */
const TICK_MS = 1_000;
/** A tick this much late, or two clocks this far apart, is sleep or a set time rather than a busy machine. */
const JUMP_MS = 3_000;

/**
 * Notices that the machine slept or that its network changed, with one slow timer for the whole supervisor. A false
 * alarm costs a keepalive on each link and nothing else, so it is not avoided at any price.
 */
export class WakeWatch {
  readonly #clock: Clock;
  readonly #networkNow: () => string;
  readonly #onWake: (why: 'slept' | 'network') => void;
  #cancel: (() => void) | undefined;
  #monotonicMs = 0;
  #wallMs = 0;
  #network = '';

  constructor(clock: Clock, networkNow: () => string, onWake: (why: 'slept' | 'network') => void) {
    this.#clock = clock;
    this.#networkNow = networkNow;
    this.#onWake = onWake;
  }

  /** Starts the ticks; safe to call again. The owner calls `stop`. */
  start(): void {
    if (this.#cancel !== undefined) return;
    this.#note();
    this.#arm();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(): void {
    this.#cancel = this.#clock.after(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    const { slept, changed } = this.#note();
    this.#arm();
    if (slept) this.#onWake('slept');
    else if (changed) this.#onWake('network');
  }

  /** Linux and macOS stop the monotonic clock in sleep, Windows does not: there the tick itself is late. */
  #note(): { slept: boolean; changed: boolean } {
    const monotonicMs = this.#clock.nowMs();
    const wallMs = this.#clock.wallMs();
    const network = this.#networkNow();
    const passedMs = monotonicMs - this.#monotonicMs;
    const slept = Math.abs(wallMs - this.#wallMs - passedMs) > JUMP_MS || passedMs > TICK_MS + JUMP_MS;
    const changed = network !== this.#network;
    this.#monotonicMs = monotonicMs;
    this.#wallMs = wallMs;
    this.#network = network;
    return { slept, changed };
  }
}
