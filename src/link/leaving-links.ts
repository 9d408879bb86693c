import type { Clock } from '../model/clock.ts';
import type { SshLink } from './ssh-link.ts';

interface Leave {
  readonly untilMs: number;
  readonly cancelTimer: () => void;
}

/** Links that are to end: each once nothing is in use on it, or when its time is over. None of them dials again. */
export class LeavingLinks {
  readonly #clock: Clock;
  readonly #leaves = new Map<SshLink, Leave>();
  #onEmpty: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get links(): readonly SshLink[] {
    return [...this.#leaves.keys()];
  }

  /** Takes the link over, or shortens the time of one that is leaving already. */
  add(link: SshLink, drainMs: number): void {
    const untilMs = this.#clock.nowMs() + drainMs;
    const before = this.#leaves.get(link);
    if (before !== undefined && before.untilMs <= untilMs) return;
    before?.cancelTimer();
    this.#leaves.set(link, { untilMs, cancelTimer: this.#clock.after(drainMs, () => link.stop()) });
    const connection = link.connection;
    if (drainMs <= 0 || connection === null || !connection.busy) link.stop();
    else connection.onQuiet(() => link.stop());
    this.follow(link);
  }

  /** To be called after each change of any link. */
  follow(link: SshLink): void {
    const leave = this.#leaves.get(link);
    if (leave === undefined) return;
    if (link.state.name === 'closed') {
      leave.cancelTimer();
      this.#leaves.delete(link);
      if (this.#leaves.size === 0) this.#onEmpty.splice(0).forEach((callback) => callback());
    } else if (link.state.name !== 'up' && link.state.name !== 'closing') {
      link.stop(); // its connection was lost while it was leaving
    }
  }

  /** Gives none of them longer than `drainMs` from now. Resolves when the last is closed. */
  end(drainMs: number): Promise<void> {
    for (const link of this.links) this.add(link, drainMs);
    if (this.#leaves.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }
}
