import type { ClientRule } from '../../model/plan.ts';

/** A client's leave to use a listener, now or later. */
export interface Turn {
  /** Resolves when its turn has come, never rejects; null where that is now. */
  readonly come: Promise<void> | null;
  /** It has gone, served or not. Safe to call twice. */
  leave(): void;
}

/** Why a client gets none: the words after "Closed a connection from …: ". */
export type NoTurn = string;

/** The one client at a time, and all that it has here. */
interface Holder {
  readonly client: string;
  readonly places: Set<Place>;
}

interface Place {
  readonly cut: (why: string) => void;
}

interface Waiting extends Place {
  readonly client: string;
  readonly serve: (holder: Holder) => void;
}

const AT_ONCE: Turn = { come: null, leave: () => undefined };

/** Says which client address may use a listener: everybody, or one at a time and what becomes of a second one. */
export class ClientTurns {
  readonly #rule: ClientRule;
  #holder: Holder | null = null;
  readonly #waiting: Waiting[] = [];

  constructor(rule: ClientRule) {
    this.#rule = rule;
  }

  /**
   * @param address of the client; '127.0.0.1' and '::1' are both this machine, and one client
   * @param most so many may wait
   * @param cut called once where another client replaces this one
   */
  ask(address: string, most: number, cut: (why: string) => void): Turn | NoTurn {
    if (this.#rule === 'many') return AT_ONCE;
    const client = address === '::1' ? '127.0.0.1' : address;
    const holder = this.#holder;
    if (holder === null || holder.client === client) return this.#enter(holder ?? this.#begin(client), { cut });
    switch (this.#rule) {
      case 'exclusive':
        return `${holder.client} uses it, and only one may at a time (clients: exclusive)`;
      case 'takeover':
        return this.#replace(holder, client, { cut });
      case 'queue':
        if (this.#waiting.length >= most) return `${most} wait for their turn already (clients: queue)`;
        return this.#wait(client, cut);
    }
  }

  #begin(client: string): Holder {
    this.#holder = { client, places: new Set() };
    return this.#holder;
  }

  #enter(holder: Holder, place: Place): Turn {
    holder.places.add(place);
    return { come: null, leave: () => this.#left(holder, place) };
  }

  #replace(old: Holder, client: string, place: Place): Turn {
    const turn = this.#enter(this.#begin(client), place);
    for (const { cut } of [...old.places]) cut(`${client} has taken over (clients: takeover)`);
    return turn;
  }

  #wait(client: string, cut: (why: string) => void): Turn {
    let leave = (): void => undefined;
    const come = new Promise<void>((resolve) => {
      const waiting: Waiting = {
        client,
        cut,
        serve: (holder) => {
          const turn = this.#enter(holder, waiting);
          leave = () => turn.leave();
          resolve();
        },
      };
      leave = () => this.#forget(waiting);
      this.#waiting.push(waiting);
    });
    return { come, leave: () => leave() };
  }

  #forget(waiting: Waiting): void {
    const at = this.#waiting.indexOf(waiting);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #left(holder: Holder, place: Place): void {
    holder.places.delete(place);
    if (holder === this.#holder && holder.places.size === 0) this.#next();
  }

  /** All that wait from the address that has waited longest come in together. */
  #next(): void {
    this.#holder = null;
    const [first] = this.#waiting;
    if (first === undefined) return;
    const holder = this.#begin(first.client);
    const mine = this.#waiting.filter(({ client }) => client === first.client);
    for (const waiting of mine) this.#forget(waiting);
    for (const waiting of mine) waiting.serve(holder);
  }
}
