import type { FailureCode } from '../model/failure.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { LoginTicket } from './budget.ts';
import type { CarrierDeps, LinkPlan } from './carrier-deps.ts';
import type { DialProgress, Transport } from './transport.ts';

/**
 * How long a dial may stand still at each point before a younger one is tried beside it. A lost SYN is sent again after 1, 3
 * and 7 s (RFC 6298), so that one which fell into an outage finds out of its end late; the same holds for what was
 * sent first on a connection. Longer where the server works: a round trip of 2 s and a slow key exchange are no outage.
 */
export const PATIENCE_MS: Readonly<Record<'resolved' | 'reached' | 'identified', number>> = {
  resolved: 2_000,
  reached: 3_000,
  identified: 5_000,
};

const ORDER: readonly DialProgress[] = ['resolved', 'reached', 'identified', 'exchanged'];

/** Ends before the server can have seen a connection, where the first hop is the only one. */
const UNSEEN: ReadonlySet<FailureCode> = new Set(['NAME_UNRESOLVED', 'CONNECT_REFUSED', 'UNREACHABLE']);

interface Attempt {
  readonly ticket: LoginTicket;
  readonly giveUp: AbortController;
  progress: DialProgress | undefined;
  /** When it last got on. */
  movedAtMs: number;
}

/**
 * One login by one dial, or two where the first stands still: whichever gets further goes on, the other one is given up there
 * and then. That is decided before either begins to log in, so a server sees one login in any case. Each has a turn
 * of its own at the server; the younger one is left out while the budget has none to give.
 */
export class DialRace {
  readonly #plan: LinkPlan;
  readonly #deps: CarrierDeps;
  readonly #server: string;
  readonly #signal: AbortSignal;
  readonly #onTrusted: () => void;
  readonly #attempts = new Set<Attempt>();
  #over = false;
  #cancelPatience: () => void = () => undefined;
  #resolve: (transport: Transport) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(plan: LinkPlan, deps: CarrierDeps, server: string, signal: AbortSignal, onTrusted: () => void) {
    this.#plan = plan;
    this.#deps = deps;
    this.#server = server;
    this.#signal = signal;
    this.#onTrusted = onTrusted;
  }

  /** Rejects with what the first dial that fails ends with, or with the signal's reason; leaves nothing open then. */
  run(ticket: LoginTicket): Promise<Transport> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        for (const { giveUp } of this.#attempts) giveUp.abort(this.#signal.reason);
      };
      this.#signal.addEventListener('abort', abort, { once: true });
      const end = (): void => {
        this.#over = true;
        this.#cancelPatience();
        this.#signal.removeEventListener('abort', abort);
      };
      this.#resolve = (transport) => {
        end();
        resolve(transport);
      };
      this.#reject = (error) => {
        end();
        reject(error);
      };
      this.#begin(ticket);
    });
  }

  #begin(ticket: LoginTicket): void {
    const giveUp = new AbortController();
    const attempt: Attempt = { ticket, giveUp, progress: undefined, movedAtMs: this.#deps.clock.nowMs() };
    this.#attempts.add(attempt);
    if (this.#signal.aborted) giveUp.abort(this.#signal.reason);
    this.#dial(attempt).then(
      (transport) => this.#won(attempt, transport),
      (error: unknown) => this.#lost(attempt, error),
    );
  }

  #dial(attempt: Attempt): Promise<Transport> {
    const { hops, timeouts, secrets } = this.#plan;
    const { signal } = attempt.giveUp;
    return this.#deps.dial({
      ...{ hops, timeouts, secrets, signal },
      agentSocket: this.#deps.agentSocket(),
      ask: (question, until) => {
        this.#advance(attempt, 'exchanged'); // a person is asked for one connection, and takes as long as it takes
        return this.#deps.ask(question, until);
      },
      onPhase: (phase) => {
        if (phase === 'authenticating' && !signal.aborted) this.#onTrusted();
      },
      onProgress: (progress) => this.#advance(attempt, progress),
      onNote: (message) => this.#deps.onNote(message),
    });
  }

  /** Progress counts once: a dial that has to connect anew is as far as it was. */
  #advance(attempt: Attempt, progress: DialProgress): void {
    if (rank(progress) <= rank(attempt.progress)) return;
    attempt.progress = progress;
    attempt.movedAtMs = this.#deps.clock.nowMs();
    if (this.#over || !this.#attempts.has(attempt)) return;
    for (const other of this.#attempts) if (rank(other.progress) < rank(progress)) this.#drop(other);
    this.#arm();
  }

  #drop(attempt: Attempt): void {
    this.#attempts.delete(attempt);
    attempt.giveUp.abort(new TunnelError('STOPPED', 'Cannot go on with this connection: another one got further'));
  }

  /** One that stands alone and still gets company; nobody races a command of the person's own. */
  #arm(): void {
    this.#cancelPatience();
    const [only, ...others] = this.#attempts;
    const { progress } = only ?? {};
    if (only === undefined || others.length > 0 || progress === undefined || progress === 'exchanged') return;
    if ((this.#plan.hops[0]?.proxyCommand ?? null) !== null) return;
    const dueMs = only.movedAtMs + PATIENCE_MS[progress] - this.#deps.clock.nowMs();
    const waitMs = Math.max(dueMs, this.#deps.budget.delayMs(this.#server));
    this.#cancelPatience = waitMs > 0 ? this.#deps.clock.after(waitMs, () => this.#arm()) : () => undefined;
    if (waitMs <= 0) void this.#join();
  }

  async #join(): Promise<void> {
    const ticket = await this.#deps.budget.acquire(this.#server, new AbortController().signal);
    if (this.#over || this.#attempts.size !== 1) ticket.settle('unseen');
    else this.#begin(ticket);
  }

  #won(attempt: Attempt, transport: Transport): void {
    attempt.ticket.settle('loggedIn');
    if (!this.#attempts.delete(attempt)) return transport.destroy(attempt.giveUp.signal.reason as TunnelError);
    for (const other of [...this.#attempts]) this.#drop(other);
    this.#resolve(transport);
  }

  #lost(attempt: Attempt, error: unknown): void {
    attempt.ticket.settle(this.#seen(attempt, error) ? seenOutcome(error) : 'unseen');
    if (!this.#attempts.delete(attempt)) return; // it was given up for another
    for (const other of [...this.#attempts]) this.#drop(other);
    this.#reject(this.#signal.aborted ? (this.#signal.reason as Error) : asTunnelError(error)); // whatever a dial makes of being called off
  }

  /** Whether the server may have noticed: not before TCP was connected, where the dial tells how far it came. */
  #seen({ progress }: Attempt, error: unknown): boolean {
    if (progress !== undefined) return rank(progress) >= rank('reached');
    const [first, ...others] = this.#plan.hops;
    if (first === undefined || others.length > 0 || first.proxyCommand !== null) return true;
    return !(error instanceof TunnelError && UNSEEN.has(error.code));
  }
}

/** A login that a person must help with has mostly had its keys refused: it is taken for a refusal. */
function seenOutcome(error: unknown): 'failed' | 'refused' {
  const refused = error instanceof TunnelError && (error.code === 'LOGIN_REFUSED' || error.code === 'NEEDS_PERSON');
  return refused ? 'refused' : 'failed';
}

function rank(progress: DialProgress | undefined): number {
  return progress === undefined ? -1 : ORDER.indexOf(progress);
}
