import type { Clock } from '../model/clock.ts';
import { TunnelError } from '../model/failure.ts';

/** Lets requests in while it is open. Those that come while it is shut wait until it is known whether it opens again. */
export class Gate {
  readonly #clock: Clock;
  #inWork = 0;
  #whenEmpty: () => void = () => undefined;
  #shut: { readonly outcome: Promise<void>; readonly settle: (left: boolean) => void } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws TunnelError STOPPED where it stays shut */
  async enter<T>(work: () => T | Promise<T>): Promise<T> {
    await this.#shut?.outcome;
    this.#inWork += 1;
    try {
      return await work();
    } finally {
      this.#inWork -= 1;
      if (this.#inWork === 0) this.#whenEmpty();
    }
  }

  /** Resolves once nothing is in work, or `withinMs` is over. */
  async shut(withinMs: number): Promise<void> {
    this.#shut ??= verdict();
    if (this.#inWork === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(withinMs, resolve);
      this.#whenEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  open(): void {
    this.#shut?.settle(false);
    this.#shut = undefined;
  }

  /** It stays shut: whoever waits is sent away. */
  lock(): void {
    this.#shut ??= verdict();
    this.#shut.settle(true);
  }
}

function verdict(): { readonly outcome: Promise<void>; readonly settle: (left: boolean) => void } {
  let settle: (left: boolean) => void = () => undefined;
  const outcome = new Promise<void>((resolve, reject) => {
    const gone = (): TunnelError =>
      new TunnelError('STOPPED', 'Cannot change tunnels: another supervisor has taken over', {
        hint: 'Run the command again.',
      });
    settle = (left) => (left ? reject(gone()) : resolve());
  });
  outcome.catch(() => undefined); // nobody may be waiting
  return { outcome, settle };
}
