import { TunnelError } from '../model/failure.ts';

interface Held<T> {
  readonly serve: (value: T) => void;
  readonly fail: (error: TunnelError) => void;
}

/** Those who wait for a link: served together in the order in which they came, failed together, or gone by their signals. */
export class HoldQueue<T> {
  readonly #held = new Set<Held<T>>();

  get size(): number {
    return this.#held.size;
  }

  /**
   * Rejects with the signal's reason, with what `fail` was given, or with LIMIT_REACHED where `limit` wait already.
   * @param what completes "Cannot hold …", for the message
   */
  wait(limit: number, what: string, signal: AbortSignal): Promise<T> {
    if (this.#held.size >= limit) {
      const message = `Cannot hold ${what}: ${limit} wait for the link already`;
      return Promise.reject(new TunnelError('LIMIT_REACHED', message));
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#held.delete(held);
        reject(signal.reason as Error);
      };
      const held: Held<T> = {
        serve: (value) => {
          signal.removeEventListener('abort', leave);
          resolve(value);
        },
        fail: (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      };
      this.#held.add(held);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  serve(value: T): void {
    for (const held of this.#take()) held.serve(value);
  }

  fail(error: TunnelError): void {
    for (const held of this.#take()) held.fail(error);
  }

  #take(): readonly Held<T>[] {
    const all = [...this.#held];
    this.#held.clear();
    return all;
  }
}
