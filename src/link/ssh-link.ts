import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { CarrierDeps, LinkPlan } from './carrier-deps.ts';
import { Connection } from './connection.ts';
import { Heartbeat } from './heartbeat.ts';
import { login } from './login.ts';
import { isFirstTryAfterUp, NEW_LINK, step } from './machine.ts';
import type { LinkEffect, LinkEvent, LinkState } from './machine.ts';
import type { Transport } from './transport.ts';

/** A goodbye that the far side does not take within this is not waited for. */
const GOODBYE_MS = 3_000;

/**
 * One SSH connection over its reconnects: runs what `machine.ts` decides, and owns the dial, the transport and the timers.
 * `onChange` follows each change of state, each measured round trip, and the server's silence. It ends with `stop`, seen by
 * `state` being closed.
 */
export class SshLink {
  readonly plan: LinkPlan;
  readonly #deps: CarrierDeps;
  readonly #onChange: () => void;
  readonly #events: LinkEvent[] = [];
  #stepping = false;
  #state: LinkState = NEW_LINK;
  #dialling: AbortController | null = null;
  #connection: Connection | null = null;
  #heartbeat: Heartbeat | null = null;
  #latencyMs: number | null = null;
  #silentSinceMs: number | null = null;
  #turnAtMs: number | null = null;
  #cancelDelay: () => void = () => undefined;
  #cancelGoodbye: () => void = () => undefined;

  constructor(plan: LinkPlan, deps: CarrierDeps, onChange: () => void) {
    this.plan = plan;
    this.#deps = deps;
    this.#onChange = onChange;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** The connection that is up, otherwise null. */
  get connection(): Connection | null {
    return this.#state.name === 'up' ? this.#connection : null;
  }

  /** Round trip of the last answered keepalive of this connection. */
  get latencyMs(): number | null {
    return this.connection === null ? null : this.#latencyMs;
  }

  /** Monotonic time since which nothing has come on this connection, though the server was asked; null where it answers. */
  get silentSinceMs(): number | null {
    return this.connection === null ? null : this.#silentSinceMs;
  }

  /** Monotonic time of the next dial, while one is scheduled. */
  get nextDialAtMs(): number | null {
    return this.#state.name === 'backoff' ? this.#state.untilMs : this.#turnAtMs;
  }

  /** Somebody needs the link. */
  start(): void {
    this.#send({ name: 'start' });
  }

  /** Nobody does any more: the connection is closed, the memory of refusals kept. */
  rest(): void {
    this.#send({ name: 'rest' });
  }

  /** A client is held: cuts a backoff short, never below its first delay. */
  hurry(): void {
    this.#send({ name: 'hurry' });
  }

  /** A person asks: leaves backoff, waiting and failed. */
  retry(): void {
    this.#send({ name: 'retry' });
  }

  /** The machine woke or its network changed. */
  wake(): void {
    this.#heartbeat?.wake();
    this.#send({ name: 'wake' });
  }

  /** Something was not answered in time: has the connection prove that it lives. */
  suspect(): void {
    this.#heartbeat?.suspect();
  }

  /** Ends it for good, through `closing` to `closed`. Safe to call twice. */
  stop(): void {
    this.#send({ name: 'stop' });
  }

  /** Events wait for the one before them: an effect may well report its end while the next one has yet to run. */
  #send(event: LinkEvent): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#step(next);
    } finally {
      this.#stepping = false;
    }
  }

  #step(event: LinkEvent): void {
    const { initialMs, maxMs, giveUpAfterMs } = this.plan.reconnect;
    const at = { nowMs: this.#deps.clock.nowMs(), draw: this.#deps.random() };
    const before = this.#state;
    const { state, effects } = step(before, event, at, { initialMs, maxMs, giveUpAfterMs });
    this.#state = state;
    for (const effect of effects) this.#run(effect);
    if (state !== before) this.#onChange();
  }

  #run(effect: LinkEffect): void {
    switch (effect) {
      case 'dial':
        return this.#dial();
      case 'hangUp':
        return this.#hangUp();
      case 'armDelay':
        return this.#armDelay();
      case 'dropDelay':
        return this.#cancelDelay();
      case 'watch':
        return this.#startHeartbeat();
      case 'unwatch':
        return this.#heartbeat?.stop();
    }
  }

  #armDelay(): void {
    if (this.#state.name !== 'backoff') return;
    const { clock } = this.#deps;
    this.#cancelDelay();
    this.#cancelDelay = clock.after(Math.max(0, this.#state.untilMs - clock.nowMs()), () =>
      this.#send({ name: 'delayElapsed' }),
    );
  }

  #dial(): void {
    const dialling = new AbortController();
    this.#dialling = dialling;
    this.#connect(dialling.signal).then(
      (transport) => this.#adopt(transport, dialling.signal),
      (error: unknown) => {
        this.#dialling = null;
        this.#send({ name: 'lost', reason: asTunnelError(error) });
      },
    );
  }

  #connect(signal: AbortSignal): Promise<Transport> {
    const watch = {
      turn: (atMs: number | null) => {
        this.#turnAtMs = atMs;
        this.#onChange();
      },
      trusted: () => this.#send({ name: 'trusted' }),
    };
    return login(this.plan, this.#deps, signal, watch, isFirstTryAfterUp(this.#state));
  }

  #adopt(transport: Transport, signal: AbortSignal): void {
    this.#dialling = null;
    const connection = new Connection(transport);
    this.#connection = connection;
    this.#latencyMs = null;
    this.#silentSinceMs = null;
    // Called off in the very moment in which it came up: it is closed as if it had been up.
    if (signal.aborted) this.#sayGoodbye(transport);
    else this.#send({ name: 'authenticated' });
    transport.onClosed((reason) => this.#ended(connection, reason));
  }

  #ended(connection: Connection, reason: TunnelError): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#heartbeat?.stop();
    this.#heartbeat = null;
    this.#cancelGoodbye();
    this.#send({ name: 'lost', reason });
  }

  #startHeartbeat(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#heartbeat = new Heartbeat(connection.transport, this.plan.keepalive, this.#deps.clock, {
      answered: (roundTripMs) => {
        this.#latencyMs = roundTripMs;
        this.#onChange();
      },
      quiet: (sinceMs) => {
        if (sinceMs === this.#silentSinceMs) return;
        this.#silentSinceMs = sinceMs;
        this.#onChange();
      },
      silent: (silentMs) => connection.transport.destroy(this.#silence(silentMs)),
    });
  }

  #hangUp(): void {
    const stopped = new TunnelError('STOPPED', `Cannot keep the connection to ${this.#label}: it was stopped`);
    if (this.#dialling !== null) this.#dialling.abort(stopped);
    else if (this.#connection !== null) this.#sayGoodbye(this.#connection.transport);
  }

  #sayGoodbye(transport: Transport): void {
    const late = new TunnelError('STOPPED', `Cannot say goodbye to ${this.#label}: it does not answer`);
    this.#cancelGoodbye = this.#deps.clock.after(GOODBYE_MS, () => transport.destroy(late));
    transport.close();
  }

  #silence(silentMs: number): TunnelError {
    const why = `nothing came for ${Math.round(silentMs / 100) / 10} s`;
    return new TunnelError('KEEPALIVE_TIMEOUT', `Cannot keep the connection to ${this.#label}: ${why}`);
  }

  get #label(): string {
    return this.plan.hops.at(-1)?.label ?? 'nowhere';
  }
}
