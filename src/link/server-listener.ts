import type { Clock } from '../model/clock.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import type { Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import { backoffDelayMs, type BackoffBounds } from './backoff.ts';
import type { ListenWatch, RemoteListener } from './carrier.ts';
import type { Connection } from './connection.ts';
import type { OnIncoming } from './transport.ts';

export interface ServerListenerRules {
  readonly requestMs: number;
  readonly backoff: BackoffBounds;
  /** Where the server listened for whoever left this listener to us. */
  readonly before?: Endpoint;
}

export interface ServerListenerDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** The server did not answer in time: the link should prove that it lives. */
  readonly onSilence: () => void;
  readonly onClosed: () => void;
}

/** Refusals after which a port that the server chose before is given up, and another one asked for. */
const KEEP_PORT_TRIES = 6;

/**
 * A listener on the server that outlives its links: asked for on each, and cancelled on the old one where that still answers.
 * The first refusal ever is told and stands until the next link. A listener that was there before is asked for again with
 * backoff: the server may hold the old one until it has noticed that the old connection is gone.
 */
export class ServerListener implements RemoteListener {
  readonly #bind: Endpoint;
  readonly #onChannel: OnIncoming;
  readonly #watch: ListenWatch;
  readonly #rules: ServerListenerRules;
  readonly #deps: ServerListenerDeps;
  #connection: Connection | null = null;
  /** Where the server listened last: asked for again, so that a port it chose stays. */
  #bound: Endpoint | null = null;
  /** The connection on which the server granted it, until that is cancelled or lost. */
  #grantedOn: Connection | null = null;
  /** What the watch was told last. */
  #listening = false;
  #refusals = 0;
  #closed = false;
  #attempt = new AbortController();
  /** Requests of one listener follow each other: a cancel must not overtake what it cancels. Never rejects. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    bind: Endpoint,
    onChannel: OnIncoming,
    watch: ListenWatch,
    rules: ServerListenerRules,
    deps: ServerListenerDeps,
  ) {
    this.#bind = bind;
    this.#onChannel = onChannel;
    this.#watch = watch;
    this.#rules = rules;
    this.#bound = rules.before ?? null;
    this.#deps = deps;
  }

  /** A new link is up: the listener moves over to it. Resolves once the old one is rid of it, and never rejects. */
  attach(connection: Connection): Promise<void> {
    if (this.#closed || this.#connection === connection) return Promise.resolve();
    const signal = this.#startAnew(connection);
    const left = this.#turn.then(() => this.#cancel());
    this.#turn = left.then(() => this.#keepAsking(connection, signal));
    return left;
  }

  /** The link is lost, and the listener with it. */
  detach(reason: TunnelError): void {
    this.#attempt.abort(reason);
    this.#connection = null;
    this.#grantedOn = null;
    if (this.#listening && !this.#closed) this.#watch.lost(reason);
    this.#listening = false;
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#deps.onClosed();
      this.#startAnew(null);
      this.#turn = this.#turn.then(() => this.#cancel());
    }
    return this.#turn;
  }

  #startAnew(connection: Connection | null): AbortSignal {
    const why = 'it is wanted elsewhere or no more';
    this.#attempt.abort(
      new TunnelError('STOPPED', `Cannot listen on the server at ${formatEndpoint(this.#bind)}: ${why}`),
    );
    this.#attempt = new AbortController();
    this.#connection = connection;
    this.#refusals = 0;
    return this.#attempt.signal;
  }

  async #keepAsking(connection: Connection, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const error = await this.#ask(connection, signal);
      if (error === null || signal.aborted) return;
      this.#listening = false;
      this.#watch.lost(error);
      if (error.code === 'TIMED_OUT') this.#deps.onSilence();
      // Refused from the first: the server does not want it, and asking again changes nothing.
      if (this.#bound === null && error.code === 'FORWARD_REFUSED') return;
      this.#refusals += 1;
      const delayMs = backoffDelayMs(this.#refusals, this.#rules.backoff, this.#deps.random());
      await this.#deps.clock.sleep(delayMs, signal).catch(() => undefined); // the loop sees the abort
    }
  }

  /**
   * One request, left to its end even where nobody wants it any more: only what was granted can be cancelled.
   * @returns why not, null once the server listens
   */
  async #ask(connection: Connection, signal: AbortSignal): Promise<TunnelError | null> {
    const chosen = this.#bind.kind === 'tcp' && this.#bind.port === 0;
    const bind = chosen && this.#refusals < KEEP_PORT_TRIES ? (this.#bound ?? this.#bind) : this.#bind;
    try {
      const bound = await this.#inTime(bind, (limit) => connection.requestForward(bind, this.#onChannel, limit));
      this.#bound = bound;
      this.#grantedOn = connection;
      if (signal.aborted) return null; // whoever aborted cancels it in the next turn, or the link is gone
      this.#refusals = 0;
      this.#listening = true;
      this.#watch.listening(bound);
      return null;
    } catch (error) {
      return asTunnelError(error);
    }
  }

  async #cancel(): Promise<void> {
    const connection = this.#grantedOn;
    const bound = this.#bound;
    this.#grantedOn = null;
    if (connection === null || bound === null) return;
    try {
      await this.#inTime(bound, (limit) => connection.cancelForward(bound, limit));
    } catch (error) {
      if (asTunnelError(error).code === 'TIMED_OUT') this.#deps.onSilence(); // else the link is gone, and the listener too
    }
  }

  async #inTime<T>(bind: Endpoint, request: (limit: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController();
    const why = `the server did not answer within ${this.#rules.requestMs / 1_000} s`;
    const late = new TunnelError('TIMED_OUT', `Cannot listen on the server at ${formatEndpoint(bind)}: ${why}`);
    const cancelTimer = this.#deps.clock.after(this.#rules.requestMs, () => limit.abort(late));
    try {
      return await request(limit.signal);
    } finally {
      cancelTimer();
    }
  }
}
