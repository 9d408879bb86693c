import type { Clock } from '../model/clock.ts';

/** So long a supervisor reads an unlocked vault without asking again: a working day. */
export const VAULT_OPEN_MS = 8 * 60 * 60 * 1000;

/** The data key of an unlocked vault, in memory for a set time and then wiped. One for a whole process. */
export class VaultKey {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #holdMs: number;
  #held: { readonly vault: string; readonly dataKey: Buffer; readonly cancel: () => void } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(clock: Pick<Clock, 'after'>, holdMs = VAULT_OPEN_MS) {
    this.#clock = clock;
    this.#holdMs = holdMs;
  }

  /**
   * The data key of this vault; `unlock` gets it where it is not held. Several that need it at once ask one question:
   * whoever comes later waits for the first, and asks only if that one failed.
   * @param vault names it for good: a new vault in its place has another key
   */
  async of(vault: string, unlock: () => Promise<Buffer>): Promise<Buffer> {
    const mine = this.#turn.then(async () => this.#known(vault) ?? this.hold(vault, await unlock()));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  hold(vault: string, dataKey: Buffer): Buffer {
    this.forget();
    const cancel = this.#clock.after(this.#holdMs, () => this.forget());
    this.#held = { vault, dataKey, cancel };
    return dataKey;
  }

  /** Wipes it. Safe to call twice. */
  forget(): void {
    this.#held?.cancel();
    this.#held?.dataKey.fill(0);
    this.#held = undefined;
  }

  #known(vault: string): Buffer | undefined {
    return this.#held?.vault === vault ? this.#held.dataKey : undefined;
  }
}
