import type { ListenerPlan } from '../../model/plan.ts';
import { Admission } from './admission.ts';
import type { Burst } from './burst.ts';
import type { ClientTurns, Turn } from './client-turns.ts';
import type { ForwardSettings } from '../forward-context.ts';

export interface EntranceParts {
  readonly allow: ListenerPlan['allow'];
  readonly turns: ClientTurns;
  readonly burst: Burst;
  /** What is told of one that is turned away: `(from, why) => 'Closed a connection from …: …'`. */
  readonly turnedAway: (from: string, why: string) => string;
}

/** Who may use a listener, wherever it listens: `allow`, then the limits, then `clients`. */
export class Entrance {
  readonly #parts: EntranceParts;
  readonly #admission: Admission;

  /** @throws RangeError for an `allow` that is no list of addresses */
  constructor(parts: EntranceParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts.allow);
  }

  /**
   * @param from the client's address; 'unix' where it has none
   * @param cut called once where another client replaces this one
   * @returns its turn, which it gives back when it has gone; undefined where it is turned away, and the reason told
   */
  admit(from: string, settings: ForwardSettings, cut: (why: string) => void = () => undefined): Turn | undefined {
    const { turns, burst, turnedAway } = this.#parts;
    const refused = this.#admission.admit(from, settings.limits);
    if (refused !== undefined) {
      burst.note('warn', turnedAway(from, refused.why), refused.limit ? 'LIMIT_REACHED' : undefined);
      return undefined;
    }
    const turn = turns.ask(from, settings.whileDown.queue, cut);
    if (typeof turn !== 'string') return { come: turn.come, leave: this.#leaving(from, turn) };
    this.#admission.release(from);
    burst.note('warn', turnedAway(from, turn));
    return undefined;
  }

  #leaving(from: string, turn: Turn): () => void {
    let here = true;
    return () => {
      if (!here) return;
      here = false;
      this.#admission.release(from);
      turn.leave();
    };
  }
}
