/** A server that does not answer must not keep uploads waiting. */
const LONGEST_MS = 2_000;

/** A moment in which nobody sends much, so that a round trip can be measured that waits in no queue of ours. */
export class Lull {
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  get on(): boolean {
    return this.#timer !== undefined;
  }

  begin(): void {
    this.#timer ??= setTimeout(() => this.end(), LONGEST_MS);
  }

  /** @param goOn called once it is over */
  wait(goOn: () => void): void {
    this.#waiting.add(goOn);
  }

  forget(goOn: () => void): void {
    this.#waiting.delete(goOn);
  }

  /** Safe to call twice. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const goOn of waiting) goOn();
  }
}
