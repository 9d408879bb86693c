import type { StatusEvent } from '../model/status.ts';
import type { EventSink } from './deps.ts';
import { Journal } from './journal.ts';

/** The one stream of facts: to the log, to the journal, to every subscriber. */
export class EventStream {
  readonly #log: EventSink | null;
  readonly #journal = new Journal();
  readonly #listeners = new Set<(event: StatusEvent) => void>();
  #quiet = false;

  constructor(log: EventSink | null) {
    this.#log = log;
  }

  /** From now on another supervisor tells how the tunnels are: here only finished connections and notes pass. */
  quiet(): void {
    this.#quiet = true;
  }

  /** Never throws: a subscriber's fault is reported as the process's warning, and the others hear the event all the same. */
  emit(event: StatusEvent): void {
    if (this.#quiet && (event.event === 'tunnel' || event.event === 'removed')) return;
    if (event.event === 'removed') this.#journal.forget(event.tunnel);
    else this.#journal.add(event);
    this.#log?.write(event);
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  subscribe(listener: (event: StatusEvent) => void): () => void {
    const own = (event: StatusEvent): void => listener(event); // the same function may subscribe twice
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  recent(tunnel: string | null): readonly StatusEvent[] {
    return this.#journal.of(tunnel);
  }
}
