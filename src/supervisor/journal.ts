import type { StatusEvent } from '../model/status.ts';

/** The last events of each tunnel, in memory: what there is to read where the log cannot be written. */
export class Journal {
  readonly #limit: number;
  readonly #events = new Map<string | null, StatusEvent[]>();

  /** @param limit events kept for each tunnel, and as many that belong to none */
  constructor(limit = 200) {
    this.#limit = limit;
  }

  add(event: StatusEvent): void {
    const events = this.#events.get(event.tunnel) ?? [];
    this.#events.set(event.tunnel, events);
    events.push(event);
    if (events.length > this.#limit) events.shift();
  }

  /** Oldest first; null is what belongs to no tunnel. */
  of(tunnel: string | null): readonly StatusEvent[] {
    return [...(this.#events.get(tunnel) ?? [])];
  }

  /** Forgets a tunnel that is gone. */
  forget(tunnel: string): void {
    this.#events.delete(tunnel);
  }
}
