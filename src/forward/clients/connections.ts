import type { Clock } from '../../model/clock.ts';
import { TunnelError } from '../../model/failure.ts';
import type { ConnectionRecord } from '../../model/status.ts';
import type { Burst } from './burst.ts';
import type { ForwardFacts } from '../forward-context.ts';
import type { SpliceEnding } from '../splice/splice.ts';

/** How it went: `served` had its channel; `failed` got none and says why; `gone` is a client that did not wait. */
export type Outcome =
  | { readonly name: 'served'; readonly ending: SpliceEnding }
  | { readonly name: 'failed'; readonly error: TunnelError }
  | { readonly name: 'gone' };

/** A connection as its forward counts it, from the moment in which it came until nothing of it is left. */
export interface Counted {
  /** `address:port`, or 'unix'. */
  readonly client: string;
  /** Where it leads, as far as is known. */
  readonly target: string;
  readonly durationMs: number;
  /** From the target to the client. */
  readonly receivedBytes: number;
  /** From the client to the target. */
  readonly sentBytes: number;
  /** Ends it now for a reason of ours. Safe to call at any time. */
  cut(reason: TunnelError): void;
}

export interface ConnectionsParts {
  /** The forward's name, for the records. */
  readonly forward: string;
  /** Where they lead, for the reason of a cut. */
  readonly label: string;
  readonly clock: Clock;
  readonly burst: Burst;
  readonly onConnection: (record: ConnectionRecord) => void;
  /** One came or went. */
  readonly onChange: () => void;
}

/** The connections of one forward, wherever they come from: counted, recorded when they end, drained at the end. */
export class Connections<C extends Counted> {
  readonly #parts: ConnectionsParts;
  readonly #open = new Set<C>();
  /** Of finished connections; the open ones are added when somebody asks. */
  readonly #finished = { connections: 0, receivedBytes: 0, sentBytes: 0 };
  #cutAtMs = Infinity;
  #cancelCut: () => void = () => undefined;
  #whenEmpty: (() => void)[] = [];

  constructor(parts: ConnectionsParts) {
    this.#parts = parts;
  }

  get facts(): Pick<ForwardFacts, 'openConnections' | 'totalConnections' | 'receivedBytes' | 'sentBytes'> {
    const { connections, receivedBytes, sentBytes } = this.#finished;
    const open = [...this.#open];
    return {
      openConnections: open.length,
      totalConnections: connections + open.length,
      receivedBytes: open.reduce((sum, connection) => sum + connection.receivedBytes, receivedBytes),
      sentBytes: open.reduce((sum, connection) => sum + connection.sentBytes, sentBytes),
    };
  }

  /** One has come; `ended` must follow. */
  add(connection: C): void {
    this.#open.add(connection);
    this.#parts.onChange();
  }

  /** Nothing of it is left: says why it failed, or records what it carried. */
  ended(connection: C, outcome: Outcome): void {
    const { burst, onConnection, onChange } = this.#parts;
    this.#open.delete(connection);
    this.#finished.connections += 1;
    this.#finished.receivedBytes += connection.receivedBytes;
    this.#finished.sentBytes += connection.sentBytes;
    if (outcome.name === 'failed') burst.note('warn', outcome.error.message, outcome.error.code);
    if (outcome.name === 'served') onConnection(this.#record(connection, outcome.ending));
    onChange();
    if (this.#open.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** One was turned away at the door: it counts, and carried nothing. */
  turnedAway(): void {
    this.#finished.connections += 1;
    this.#parts.onChange();
  }

  cutWhere(chosen: (connection: C) => boolean, why = 'the tunnel was stopped'): void {
    const reason = new TunnelError('STOPPED', `Closed a connection to ${this.#parts.label}: ${why}`);
    for (const connection of [...this.#open]) if (chosen(connection)) connection.cut(reason);
  }

  /** Those that are left by then are cut. Called again, the earlier moment counts. */
  cutAfter(drainMs: number): void {
    const { clock } = this.#parts;
    const cutAtMs = clock.nowMs() + drainMs;
    if (cutAtMs >= this.#cutAtMs) return;
    this.#cutAtMs = cutAtMs;
    this.#cancelCut();
    if (drainMs <= 0) this.cutWhere(() => true);
    else this.#cancelCut = clock.after(drainMs, () => this.cutWhere(() => true));
  }

  /** Resolves once none is left; what `cutAfter` had armed is over then. */
  async drained(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    this.#cancelCut();
  }

  #record({ client, target, durationMs, receivedBytes, sentBytes }: C, ending: SpliceEnding): ConnectionRecord {
    const end = ending instanceof TunnelError ? { end: ending.code, reason: ending.message } : { end: ending };
    return { forward: this.#parts.forward, client, target, durationMs, receivedBytes, sentBytes, ...end };
  }
}
