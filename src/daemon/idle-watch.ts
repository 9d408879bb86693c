import type { Clock } from '../model/clock.ts';

/** A supervisor that nobody needs leaves after this long: enough for a `down` and an `up` over lunch to be quick. */
export const IDLE_MS = 10 * 60_000;

/** Calls back once nothing was needed for so long without a break. Whoever made it stops it. */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #isNeeded: () => boolean;
  readonly #onIdle: () => void;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(clock: Clock, idleMs: number, isNeeded: () => boolean, onIdle: () => void) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#isNeeded = isNeeded;
    this.#onIdle = onIdle;
    this.look();
  }

  /** To be called whenever something may be needed again, or not any more. */
  look(): void {
    if (this.#stopped || this.#isNeeded()) return this.#disarm();
    this.#cancel ??= this.#clock.after(this.#idleMs, () => this.#elapsed());
  }

  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  #elapsed(): void {
    this.#cancel = undefined;
    if (!this.#isNeeded()) this.#onIdle();
  }

  #disarm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
