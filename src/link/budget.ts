import type { Clock } from '../model/clock.ts';

/** How a granted try ended. `refused`: the login was. `unseen`: the server cannot have noticed it, as when TCP was refused. */
export type TryOutcome = 'loggedIn' | 'failed' | 'refused' | 'unseen';

/** The right to dial once; `settle` must follow, and counts once. */
export interface LoginTicket {
  settle(outcome: TryOutcome): void;
}

interface Attempt {
  readonly startedAtMs: number;
  outcome: TryOutcome | 'open';
}

interface Waiter {
  readonly grant: (ticket: LoginTicket) => void;
  readonly signal: AbortSignal;
  readonly proven: boolean;
}

/**
 * Logins at one server come no closer than this, whichever profile they are for. One exception: the first try for a link
 * that was up may follow a login at once, and the next exception waits until the pace is made up for.
 */
export const LOGIN_SPACING_MS = 1_000;

/**
 * Connections without a login that one server may see in `WINDOW_MS`. sshd 9.8 and later adds a second of penalty for
 * each and bars the address at 15 (sshd_config, PerSourcePenalties): six in half a minute never come near that.
 */
export const UNPROVEN_LIMIT = 6;
export const WINDOW_MS = 30_000;

/**
 * What sshd 9.8 and later adds to the penalty of an address for each connection without a login (PerSourcePenalties: noauth
 * and authfail). It runs off with the time, and from `min`, 15 s, on the address is barred: all its profiles are.
 */
const PENALTY_MS = { loggedIn: 0, unseen: 0, failed: 1_000, refused: 5_000 } as const;
/** With so much penalty one more refusal is no harm, by 2 s: for whole seconds there, and a clock that is not ours. */
const PENALTY_ROOM_MS = 8_000;

/** Keeps all links of this process together from bothering a server. Shared by every carrier; nothing to close. */
export class LoginBudget {
  readonly #clock: Clock;
  readonly #gates = new Map<string, ServerGate>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits for a turn at the server, first come first served. Rejects with the signal's reason when that comes first.
   * @param server `host:port` of the first hop: what the server sees as one client is this machine
   * @param proven the first try for a link that was up until a moment ago
   */
  acquire(server: string, signal: AbortSignal, proven = false): Promise<LoginTicket> {
    return this.#gate(server).enter(signal, proven);
  }

  /** How long a try would wait from now, with nobody before it. */
  delayMs(server: string, proven = false): number {
    return Math.max(0, this.#gates.get(server)?.delayMs(proven) ?? 0);
  }

  #gate(server: string): ServerGate {
    let gate = this.#gates.get(server);
    if (gate === undefined) this.#gates.set(server, (gate = new ServerGate(this.#clock)));
    return gate;
  }
}

class ServerGate {
  readonly #clock: Clock;
  readonly #queue: Waiter[] = [];
  #attempts: Attempt[] = [];
  /** Until when what the server may hold against us runs, by its default figures. */
  #penaltyUntilMs = -Infinity;
  #cancelTimer: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  enter(signal: AbortSignal, proven: boolean): Promise<LoginTicket> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const leave = (): void => {
        const place = this.#queue.indexOf(waiter);
        if (place >= 0) this.#queue.splice(place, 1);
        reject(signal.reason as Error);
        this.#pump();
      };
      const grant = (ticket: LoginTicket): void => {
        signal.removeEventListener('abort', leave);
        resolve(ticket);
      };
      const waiter: Waiter = { grant, signal, proven };
      signal.addEventListener('abort', leave, { once: true });
      this.#queue.push(waiter);
      this.#pump();
    });
  }

  delayMs(proven: boolean): number {
    const nowMs = this.#clock.nowMs();
    const unproven = this.#attempts.filter(({ outcome }) => outcome !== 'loggedIn');
    const last = this.#attempts.at(-1);
    const oldest = unproven.at(-UNPROVEN_LIMIT);
    const atOnce = proven && last?.outcome === 'loggedIn';
    const pacedFromMs = atOnce ? this.#paceMs() - LOGIN_SPACING_MS : (last?.startedAtMs ?? -Infinity);
    const pacedMs = pacedFromMs + LOGIN_SPACING_MS - nowMs;
    const spentMs = oldest === undefined ? 0 : oldest.startedAtMs + WINDOW_MS - nowMs;
    return Math.max(pacedMs, spentMs, this.#penaltyUntilMs - PENALTY_ROOM_MS - nowMs);
  }

  /** When the attempts so far would have begun had each kept its distance: later than the last one did where one came at once. */
  #paceMs(): number {
    return this.#attempts.reduce(
      (paceMs, { startedAtMs }) => Math.max(paceMs + LOGIN_SPACING_MS, startedAtMs),
      -Infinity,
    );
  }

  #pump(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => undefined;
    this.#forget();
    for (let waiter = this.#queue[0]; waiter !== undefined; waiter = this.#queue[0]) {
      const delayMs = this.delayMs(waiter.proven);
      if (delayMs > 0) {
        this.#cancelTimer = this.#clock.after(delayMs, () => this.#pump());
        return;
      }
      this.#queue.shift();
      waiter.grant(this.#begin());
    }
  }

  #begin(): LoginTicket {
    const attempt: Attempt = { startedAtMs: this.#clock.nowMs(), outcome: 'open' };
    this.#attempts.push(attempt);
    return {
      settle: (outcome) => {
        if (attempt.outcome !== 'open') return;
        attempt.outcome = outcome;
        const nowMs = this.#clock.nowMs();
        this.#penaltyUntilMs = Math.max(this.#penaltyUntilMs, nowMs) + PENALTY_MS[outcome];
        if (outcome === 'unseen') this.#attempts = this.#attempts.filter((other) => other !== attempt);
        this.#pump();
      },
    };
  }

  /** What lies before the window counts no more, ended or not. */
  #forget(): void {
    const sinceMs = this.#clock.nowMs() - WINDOW_MS;
    this.#attempts = this.#attempts.filter(({ startedAtMs }) => startedAtMs > sinceMs);
  }
}
