import type { Clock } from '../model/clock.ts';
import type { StatusEvent, TunnelStatus } from '../model/status.ts';

/** The first of a burst is written at once, the rest of this time as one line with their number. */
export const FOLD_MS = 10_000;
/** Kinds of line that are watched at once; a server that invents new texts gets no more memory than this. */
const KINDS_LIMIT = 500;

/**
 * Lets through what is news. Of failures and notes that are alike the first passes at once and the others of the next
 * FOLD_MS as one; a status passes when more than its figures has changed since the last that passed.
 */
export class Folding {
  readonly #clock: Clock;
  readonly #pass: (event: StatusEvent) => void;
  readonly #bursts = new Map<string, Burst>();
  readonly #states = new Map<string, string>();

  constructor(clock: Clock, pass: (event: StatusEvent) => void) {
    this.#clock = clock;
    this.#pass = pass;
  }

  take(event: StatusEvent): void {
    switch (event.event) {
      case 'tunnel':
        return this.#takeStatus(event);
      case 'removed':
        this.#states.delete(event.tunnel);
        return this.#pass(event);
      case 'connection':
        // Connections that went well are counted one by one: each line has figures of its own.
        return event.end === 'done' ? this.#pass(event) : this.#takeAlike(event);
      case 'note':
        return this.#takeAlike(event);
    }
  }

  /** Lets through what is still held, and forgets all. */
  close(): void {
    for (const key of [...this.#bursts.keys()]) this.#endBurst(key);
    this.#states.clear();
  }

  #takeStatus(event: Extract<StatusEvent, { event: 'tunnel' }>): void {
    const key = statusKey(event.status);
    if (this.#states.get(event.tunnel) === key) return;
    this.#states.set(event.tunnel, key);
    this.#pass(event);
  }

  #takeAlike(event: Foldable): void {
    const key = alikeKey(event);
    const burst = this.#bursts.get(key);
    if (burst !== undefined) {
      burst.held += event.repeated ?? 1;
      burst.last = event;
      return;
    }
    this.#pass(event);
    if (this.#bursts.size >= KINDS_LIMIT) return;
    const cancel = this.#clock.after(FOLD_MS, () => this.#endBurst(key));
    this.#bursts.set(key, { last: event, held: 0, cancel });
  }

  #endBurst(key: string): void {
    const burst = this.#bursts.get(key);
    if (burst === undefined) return;
    this.#bursts.delete(key);
    burst.cancel();
    if (burst.held > 0) this.#pass({ ...burst.last, repeated: burst.held });
  }
}

type Foldable = Extract<StatusEvent, { event: 'connection' | 'note' }>;

interface Burst {
  last: Foldable;
  /** How many came since the first. */
  held: number;
  readonly cancel: () => void;
}

function alikeKey(event: Foldable): string {
  if (event.event === 'note') return JSON.stringify([event.tunnel, event.level, event.code, event.message]);
  return JSON.stringify([event.tunnel, event.forward, event.target, event.end, event.reason]);
}

/** As `changeKey` of the supervisor, without times: a try that fails as the one before is no news to a log. */
function statusKey(status: TunnelStatus): string {
  const { name, state, via, reconnects, lastError, forwards } = status;
  const lines = forwards.map((forward) => [
    forward.name,
    forward.bind,
    forward.state,
    forward.health,
    forward.lastError?.message,
  ]);
  return JSON.stringify([name, state, via, reconnects, lastError?.code, lastError?.message, lines]);
}
