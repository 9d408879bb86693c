import type { Clock } from '../model/clock.ts';
import { answered, beginLiveness, look, nextLookMs, prove, PROOF_MS } from './liveness.ts';
import type { KeepaliveRules, Liveness, Look } from './liveness.ts';
import type { Transport } from './transport.ts';

export interface HeartbeatWatch {
  /** A keepalive was answered after so long. */
  answered(roundTripMs: number): void;
  /** Nothing has come since then, though it was asked for an interval; null once something has. */
  quiet(sinceMs: number | null): void;
  /** Nothing came for too long. Called once, the last thing that happens. */
  silent(silentMs: number): void;
}

/** Watches one connection's life by its bytes, with one timer. Whoever made it stops it. */
export class Heartbeat {
  readonly #transport: Transport;
  readonly #rules: KeepaliveRules;
  readonly #clock: Clock;
  readonly #watch: HeartbeatWatch;
  #liveness: Liveness;
  #lastSeenMs: number;
  #stopped = false;
  #cancelTimer: () => void = () => undefined;

  constructor(transport: Transport, rules: KeepaliveRules, clock: Clock, watch: HeartbeatWatch) {
    this.#transport = transport;
    this.#rules = rules;
    this.#clock = clock;
    this.#watch = watch;
    this.#lastSeenMs = clock.nowMs();
    this.#liveness = beginLiveness(clock.nowMs(), transport.receivedBytes, rules);
    this.#arm();
    this.#ping(); // so that the round trip is known from the start
  }

  /** After sleep or a network change: the connection shows life within 5 s or is given up. */
  wake(): void {
    this.#prove(PROOF_MS);
  }

  /** Something on the connection was not answered in time: an interval, kept within bounds, is left for a sign of life. */
  suspect(): void {
    this.#prove(Math.max(PROOF_MS, Math.min(this.#rules.intervalMs, LONGEST_SUSPICION_MS)));
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  #prove(withinMs: number): void {
    if (this.#stopped) return;
    this.#take(prove(this.#liveness, this.#clock.nowMs(), this.#transport.receivedBytes, withinMs));
  }

  #look(): void {
    this.#take(look(this.#liveness, this.#clock.nowMs(), this.#transport.receivedBytes, this.#rules));
  }

  #take({ liveness, verdict }: Look): void {
    if (liveness.seenBytes > this.#liveness.seenBytes) this.#heard();
    this.#liveness = liveness;
    if (verdict === 'dead') {
      this.stop();
      this.#watch.silent(this.#clock.nowMs() - this.#lastSeenMs);
      return;
    }
    this.#arm();
    if (verdict !== 'ping') return;
    this.#ping();
    if (liveness.unanswered > 1) this.#watch.quiet(this.#lastSeenMs); // the ping before this one had an interval
  }

  #heard(): void {
    this.#lastSeenMs = this.#clock.nowMs();
    if (this.#liveness.unanswered > 1) this.#watch.quiet(null);
  }

  #arm(): void {
    this.#cancelTimer();
    const atMs = nextLookMs(this.#liveness);
    if (atMs === Infinity) return;
    this.#cancelTimer = this.#clock.after(Math.max(0, atMs - this.#clock.nowMs()), () => this.#look());
  }

  #ping(): void {
    const sentMs = this.#clock.nowMs();
    this.#transport.ping().then(
      (roundTripMs) => {
        if (this.#stopped) return;
        this.#heard();
        this.#liveness = answered(this.#liveness, sentMs);
        this.#arm();
        this.#watch.answered(roundTripMs);
      },
      () => undefined, // the connection ended first, and `onClosed` says why
    );
  }
}

/** A server that is busy for a moment keeps its connections; one that is silent for longer is better dialled anew. */
const LONGEST_SUSPICION_MS = 15_000;
