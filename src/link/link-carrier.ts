import { formatEndpoint } from '../model/endpoint.ts';
import type { Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { Plan } from '../model/plan.ts';
import { carrierStatus, lastErrorOf } from './carrier-status.ts';
import type { CarrierStatus, ListenWatch, ManagedCarrier, RemoteListener } from './carrier.ts';
import type { Connection } from './connection.ts';
import { ExtraLinks } from './extra-links.ts';
import { HoldQueue } from './hold-queue.ts';
import { LeavingLinks } from './leaving-links.ts';
import { PROOF_MS } from './liveness.ts';
import type { CarrierDeps } from './carrier-deps.ts';
import { ServerListener } from './server-listener.ts';
import { SshLink } from './ssh-link.ts';
import type { Channel, OnIncoming, Originator } from './transport.ts';

/** Channels of a link that was replaced have so long to end by themselves: ten minutes, the drain time of Envoy. */
export const RENEW_DRAIN_MS = 600_000;

/**
 * The carrier over one SSH link at a time, and over two while it moves from one to the next. Where the plan allows several
 * connections, the channels are spread over this link and extra ones.
 */
export class LinkCarrier implements ManagedCarrier {
  readonly #deps: CarrierDeps;
  readonly #held = new HoldQueue<Connection>();
  readonly #listeners = new Set<ServerListener>();
  readonly #subscribers = new Set<() => void>();
  readonly #leaving: LeavingLinks;
  #plan: Plan;
  #link: SshLink;
  #extras: ExtraLinks;
  /** Dialled by `renew`; takes over as soon as it is up. */
  #successor: SshLink | null = null;
  #renewalError: TunnelError | undefined;
  /** The connection that opens and listeners use. */
  #served: Connection | null = null;
  #needs = 0;
  #timesUp = 0;
  #closed = false;
  #status: CarrierStatus;

  constructor(plan: Plan, deps: CarrierDeps) {
    this.#deps = deps;
    this.#plan = plan;
    this.#leaving = new LeavingLinks(deps.clock);
    this.#link = this.#newLink();
    this.#extras = this.#newExtras();
    this.#status = carrierStatus(this.#link, 0, deps.clock);
  }

  get status(): CarrierStatus {
    const links = [this.#link, ...this.#extras.up];
    const renewalError = this.#renewalError;
    const status = renewalError === undefined ? this.#status : { ...this.#status, renewalError };
    if (links.length === 1 || this.#served === null) return status;
    const connections = links.map(({ connection, latencyMs }) => ({ channels: connection?.channels ?? 0, latencyMs }));
    return { ...status, connections };
  }

  get up(): boolean {
    return this.#served !== null;
  }

  subscribe(callback: () => void): () => void {
    const entry = (): void => callback(); // its own entry, also where one callback subscribes twice
    this.#subscribers.add(entry);
    return () => void this.#subscribers.delete(entry);
  }

  need(): () => void {
    this.#needs += 1;
    if (this.#needs === 1) this.#followNeed();
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      this.#needs -= 1;
      if (this.#needs === 0) this.#followNeed();
    };
  }

  async open(target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel> {
    const release = this.need();
    let lost: Lost | null = null;
    try {
      for (;;) {
        const connection = await this.#connectionFor(target, lost, signal);
        try {
          return await this.#openOn(connection, target, originator, signal);
        } catch (error) {
          lost = { connection, error: asTunnelError(error) };
          if (!this.#isLoss(lost) || signal.aborted) throw error;
        }
      }
    } catch (error) {
      throw signal.aborted ? this.#outOfTime(target, signal) : error;
    } finally {
      release();
    }
  }

  listen(bind: Endpoint, onChannel: OnIncoming, watch: ListenWatch, before?: Endpoint): RemoteListener {
    const { clock, random } = this.#deps;
    const rules = {
      ...(before === undefined ? {} : { before }),
      requestMs: this.#plan.timeouts.channelMs,
      backoff: this.#plan.reconnect,
    };
    const listener = new ServerListener(bind, onChannel, watch, rules, {
      clock,
      random,
      onSilence: () => this.#link.suspect(),
      onClosed: () => this.#listeners.delete(listener),
    });
    this.#listeners.add(listener);
    if (this.#served !== null) void listener.attach(this.#served);
    return listener;
  }

  renew(plan: Plan = this.#plan): void {
    if (this.#closed) return;
    this.#plan = plan;
    this.#renewalError = undefined;
    this.#dropSuccessor();
    if (this.#served === null) return this.#startOver();
    this.#successor = this.#newLink();
    this.#successor.start();
  }

  retry(): void {
    this.#extras.retry();
    this.#successor?.retry();
    this.#link.retry();
  }

  wake(): void {
    this.#extras.wake();
    for (const link of [this.#link, this.#successor, ...this.#leaving.links]) link?.wake();
  }

  close(drainMs: number): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#held.fail(this.#stopped());
      for (const listener of this.#listeners) void listener.close();
      this.#dropSuccessor();
      for (const link of [this.#link, ...this.#extras.leave()]) this.#leaving.add(link, drainMs);
    }
    return this.#leaving.end(drainMs);
  }

  #newLink(): SshLink {
    const link: SshLink = new SshLink(this.#plan, this.#deps, () => this.#changed(link));
    return link;
  }

  #newExtras(): ExtraLinks {
    return new ExtraLinks(this.#plan, this.#deps, {
      changed: (link) => this.#changed(link),
      quiet: () => this.#quiet(),
      end: (link) => {
        this.#leaving.add(link, 0);
        this.#tell();
      },
    });
  }

  /** Those of the plan before take no new channels, and end as a link that was replaced. */
  #renewExtras(): void {
    for (const link of this.#extras.leave()) this.#leaving.add(link, RENEW_DRAIN_MS);
    this.#extras = this.#newExtras();
  }

  #quiet(): void {
    if (this.#needs === 0) this.#followNeed();
  }

  #followNeed(): void {
    if (this.#closed) return;
    if (this.#needs > 0) return this.#link.start();
    // What is in use is a need of its own: nobody's connection is cut because a timer forgot it.
    if (this.#served?.busy === true || this.#extras.busy) return;
    this.#dropSuccessor();
    for (const link of this.#extras.leave()) this.#leaving.add(link, 0);
    if (this.#isOutdated) this.#startOver();
    else this.#link.rest();
  }

  /** The link is of an earlier plan: good for as long as it is up, but never to be dialled again. */
  get #isOutdated(): boolean {
    return this.#link.plan !== this.#plan;
  }

  /** With a link of today's plan, from the beginning. */
  #startOver(): void {
    const old = this.#link;
    this.#link = this.#newLink();
    this.#leaving.add(old, 0);
    this.#renewExtras();
    this.#followNeed();
    this.#changed(this.#link);
  }

  /** Each change of a link passes here. */
  #changed(link: SshLink): void {
    this.#leaving.follow(link);
    this.#extras.follow(link);
    if (link === this.#successor) this.#followSuccessor(link);
    const isExtra = this.#extras.up.includes(link);
    if (link === this.#link || (isExtra && this.#served === null)) this.#followLink();
    else if (!isExtra) return;
    this.#tell();
  }

  #tell(): void {
    this.#status = carrierStatus(this.#link, this.#timesUp, this.#deps.clock);
    for (const callback of [...this.#subscribers]) callback();
  }

  #followLink(): void {
    const { connection, state } = this.#link;
    if (connection !== this.#served) this.#serve(connection);
    if (connection === null && this.#successor !== null) return this.#moveTo(this.#successor);
    const extra = connection === null ? this.#extras.promote() : undefined;
    if (extra !== undefined) return this.#follow(extra);
    if (connection === null && this.#isOutdated) return this.#startOver();
    if (state.name === 'failed') this.#held.fail(state.reason);
    if (state.name !== 'backoff' || this.#held.size === 0) return;
    if (this.#plan.whileDown.hold) this.#link.hurry();
    else this.#held.fail(state.reason);
  }

  #serve(connection: Connection | null): void {
    this.#served = connection;
    if (connection === null) {
      const lost = new TunnelError('CONNECTION_LOST', `Cannot listen through ${this.#label}: the connection is lost`);
      const reason = lastErrorOf(this.#link.state) ?? lost;
      for (const listener of this.#listeners) listener.detach(reason);
      return;
    }
    this.#timesUp += 1;
    connection.onQuiet(() => {
      if (connection === this.#served) this.#quiet();
    });
    this.#held.serve(connection);
    for (const listener of this.#listeners) void listener.attach(connection);
  }

  #followSuccessor(successor: SshLink): void {
    const { state } = successor;
    if (state.name === 'up') this.#moveTo(successor);
    if (state.name !== 'failed' && state.name !== 'waiting' && state.name !== 'backoff') return;
    this.#renewalError = state.reason;
    this.#tell();
    if (state.name === 'backoff') return;
    this.#deps.onNote(`The old connection to ${this.#label} stays in use: ${state.reason.message}`, 'warn');
    if (state.name === 'failed') this.#dropSuccessor();
  }

  #moveTo(successor: SshLink): void {
    this.#successor = null;
    this.#renewalError = undefined;
    this.#renewExtras();
    this.#follow(successor);
    if (this.#needs === 0) this.#followNeed();
  }

  #follow(next: SshLink): void {
    const old = this.#link;
    this.#link = next;
    this.#changed(next);
    this.#leaving.add(old, RENEW_DRAIN_MS);
  }

  #dropSuccessor(): void {
    const successor = this.#successor;
    this.#successor = null;
    if (successor !== null) this.#leaving.add(successor, 0);
  }

  /** The connection to open on: the one that is up, else the next, waited for. */
  async #connectionFor(target: Endpoint, lost: Lost | null, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    if (this.#closed) throw this.#stopped();
    if (this.#served !== null) {
      const connection = this.#extras.pick(this.#served, lost?.connection ?? null);
      if (connection !== lost?.connection) return connection;
    }
    const { whileDown } = this.#plan;
    const { phase, lastError } = this.#status;
    if (phase === 'failed' && lastError !== null) throw lastError;
    const why = lost?.error ?? lastError;
    if (!whileDown.hold && why !== null) throw why;
    const held = this.#held.wait(whileDown.queue, `a connection to ${formatEndpoint(target)}`, signal);
    this.#link.hurry();
    return held;
  }

  async #openOn(
    connection: Connection,
    target: Endpoint,
    originator: Originator,
    signal: AbortSignal,
  ): Promise<Channel> {
    const { clock } = this.#deps;
    const startedAtMs = clock.nowMs();
    try {
      return await connection.open(target, originator, signal);
    } catch (error) {
      const timedOut = error instanceof TunnelError && error.code === 'CHANNEL_TIMEOUT';
      const heldUp = signal.aborted && clock.nowMs() - startedAtMs >= PROOF_MS;
      if (timedOut || heldUp) this.#suspect(connection);
      throw error;
    }
  }

  /** Whether the open failed for its link's sake and not for its own: then the next link may do better. */
  #isLoss({ connection, error }: Lost): boolean {
    if (error.code.startsWith('TARGET_') || error.code === 'CHANNEL_TIMEOUT') return false;
    return error.retryable || (connection !== this.#served && !this.#extras.carries(connection));
  }

  #suspect(connection: Connection): void {
    if (connection === this.#link.connection) this.#link.suspect();
    else this.#extras.suspect(connection);
  }

  #outOfTime(target: Endpoint, signal: AbortSignal): unknown {
    const reason: unknown = signal.reason;
    if (!(reason instanceof Error) || reason.name !== 'TimeoutError') return reason;
    const why = this.#status.lastError?.message ?? `${this.#label} was not reached in time`;
    return new TunnelError('HOLD_EXPIRED', `Cannot hold a connection to ${formatEndpoint(target)} any longer: ${why}`);
  }

  #stopped(): TunnelError {
    return new TunnelError('STOPPED', `Cannot open a connection through ${this.#label}: the tunnel is stopped`);
  }

  get #label(): string {
    return this.#plan.hops.at(-1)?.label ?? 'nowhere';
  }
}

/** An open that did not come through, and the connection it was tried on. */
interface Lost {
  readonly connection: Connection;
  readonly error: TunnelError;
}
