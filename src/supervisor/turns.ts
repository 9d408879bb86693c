/** Lets acts on one name run one after the other, and acts on different names side by side. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `act` once everything before it of the same name has settled; settles as `act` does. */
  take<T>(name: string, act: () => T | Promise<T>): Promise<T> {
    const result = (this.#last.get(name) ?? Promise.resolve()).then(act);
    const settled = result.then(
      () => undefined,
      () => undefined, // the failure belongs to whoever asked, not to the next in turn
    );
    this.#last.set(name, settled);
    void settled.then(() => {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    });
    return result;
  }
}
