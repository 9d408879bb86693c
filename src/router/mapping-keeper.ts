import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { KeptMapping, MappingFacts, MappingListener, MapRequest } from '../model/mapping.ts';
import { askAgainMs, boundedLeaseMs, renewalDueMs, routerRestarted, type EpochMark } from './lease.ts';
import { MappingAccount } from './mapping-account.ts';
import { notRemovedNote } from './mapping-notes.ts';
import { mapByAny, type Granted } from './map-by-any.ts';
import type { MapAsk } from './mapping-protocol.ts';
import { takenHere } from './router-refusal.ts';
import type { RouterParts } from './router-parts.ts';

/** A restart of the router, or another address of it, shows that soon: one small question a minute. */
const LOOK_EVERY_MS = 60_000;
/** What is asked just now may still be granted: its answer is awaited, so that it can be taken back. */
const ANSWER_GRACE_MS = 1_000;
const REMOVAL_MS = 2_000;

export interface KeeperParts extends RouterParts {
  /** Runs work on this port of ours after all that was begun before. Rejects as `work` does. */
  readonly turn: (work: () => Promise<void>) => Promise<void>;
  /** Takes the wished port of the router for this mapping. @returns false while another one of ours has it */
  readonly claim: () => boolean;
  readonly release: () => void;
}

/** Holds a mapping, and how well it is known. */
interface Held extends Granted {
  readonly grantedAtMs: number;
  readonly leaseMs: number | null;
  mark: EpochMark | null;
}

/** One mapping over all its renewals, restarts of the router and changes of the network. */
export class MappingKeeper implements KeptMapping {
  readonly #request: MapRequest;
  readonly #account: MappingAccount;
  readonly #parts: KeeperParts;
  readonly #stop = new AbortController();
  #held: Held | undefined;
  /** The port that this router granted last: asked for again, since people know it. */
  #known: { readonly router: string; readonly port: number } | undefined;
  #failures = 0;
  #vainRenewals = 0;
  #cancelNext: () => void = () => undefined;
  #cancelLook: () => void = () => undefined;
  #closed: Promise<void> | undefined;

  constructor(request: MapRequest, listener: MappingListener, parts: KeeperParts) {
    this.#request = request;
    this.#account = new MappingAccount(request, listener);
    this.#parts = parts;
  }

  get facts(): MappingFacts {
    return this.#account.facts;
  }

  /** Begins. Call once. */
  start(): void {
    this.#take(() => this.#ask());
  }

  networkChanged(): void {
    this.#take(() => this.#lookAround());
  }

  close(): Promise<void> {
    this.#closed ??= this.#end(() => this.#remove());
    return this.#closed;
  }

  leave(): Promise<void> {
    this.#closed ??= this.#end(() => Promise.resolve());
    return this.#closed;
  }

  get #closing(): boolean {
    return this.#closed !== undefined;
  }

  #take(work: () => Promise<void>): void {
    if (this.#closing) return;
    this.#parts
      .turn(async () => {
        if (!this.#closing) await work();
      })
      .catch((error: unknown) => this.#failed(asTunnelError(error)));
  }

  async #ask(): Promise<void> {
    try {
      const { findGateway, protocols, claim } = this.#parts;
      if (!claim()) throw takenHere(this.#request);
      const gateway = await findGateway(this.#request.internalHost);
      this.#account.asks(gateway.address);
      const known = this.#known?.router === gateway.address ? this.#known.port : this.#request.externalPort;
      this.#granted(await mapByAny(protocols, this.#askOf(known), gateway, this.#stop.signal));
    } catch (thrown) {
      this.#failed(asTunnelError(thrown));
    }
  }

  #askOf(externalPort: number): MapAsk {
    const { protocol, internalPort, description } = this.#request;
    return { protocol, internalPort, externalPort, description, leaseSeconds: this.#parts.leaseSeconds };
  }

  #granted(granted: Granted): void {
    const { grant, gateway, protocol } = granted;
    const { clock, random } = this.#parts;
    const { externalHost: host, externalPort: port, epochSeconds, leaseSeconds } = grant;
    const atMs = clock.nowMs();
    const leaseMs = leaseSeconds === null ? null : boundedLeaseMs(leaseSeconds);
    const mark = epochSeconds === null ? null : { atMs, epochSeconds };
    const ask = { ...granted.ask, externalPort: port };
    this.#held = { ...granted, ask, grantedAtMs: atMs, leaseMs, mark };
    this.#known = { router: gateway.address, port };
    this.#failures = 0;
    this.#vainRenewals = 0;
    if (this.#closing) return;
    this.#cancelNext();
    if (leaseMs !== null) this.#next(renewalDueMs(leaseMs, 0, random()) ?? leaseMs, () => this.#renew());
    this.#lookLater();
    const expiresAtMs = leaseMs === null ? null : clock.wallMs() + leaseMs;
    this.#account.mapped(
      { way: protocol.way, router: gateway.address, external: { host, port }, expiresAtMs },
      leaseMs,
    );
  }

  async #renew(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return this.#ask();
    try {
      const { protocol, gateway, ask } = held;
      this.#granted({ protocol, gateway, ask, grant: await protocol.map(ask, gateway, this.#stop.signal) });
    } catch (thrown) {
      this.#notRenewed(held, asTunnelError(thrown));
    }
  }

  /** It goes on until its lease ends; only then is it lost. */
  #notRenewed(held: Held, error: TunnelError): void {
    if (this.#closing || held.leaseMs === null) return;
    this.#vainRenewals += 1;
    if (this.#vainRenewals === 1) this.#account.note('warn', `Not renewed yet: ${error.message}`, error.code);
    const { clock, random } = this.#parts;
    const dueMs = renewalDueMs(held.leaseMs, this.#vainRenewals, random());
    const inMs = held.grantedAtMs + (dueMs ?? held.leaseMs) - clock.nowMs();
    this.#next(Math.max(0, inMs), dueMs === undefined ? () => this.#expire() : () => this.#renew());
  }

  #expire(): Promise<void> {
    this.#forget();
    return this.#ask();
  }

  #lookLater(): void {
    this.#cancelLook();
    this.#cancelLook = this.#parts.clock.after(LOOK_EVERY_MS, () => this.#take(() => this.#look()));
  }

  /** Whether the router still is what it was when it granted the mapping. */
  async #look(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    this.#lookLater();
    try {
      const { protocol, ask, gateway } = held;
      const { externalHost, epochSeconds, held: there } = await protocol.look(ask, gateway, this.#stop.signal);
      const now = epochSeconds === null ? null : { atMs: this.#parts.clock.nowMs(), epochSeconds };
      const restarted = held.mark !== null && now !== null && routerRestarted(held.mark, now);
      held.mark = now ?? held.mark;
      if (restarted || there === false) return await this.#askAnew(gateway.address);
      if (externalHost !== null && externalHost !== this.facts.external?.host) await this.#renew();
    } catch (thrown) {
      // It may be restarting just now. The mapping counts until its lease is over, and the next look is soon.
      this.#stop.signal.throwIfAborted();
      if (asTunnelError(thrown).code === 'INTERNAL') throw thrown;
    }
  }

  #askAnew(router: string): Promise<void> {
    this.#account.note('warn', `The router ${router} has forgotten the mapping: asking for it again`);
    this.#forget();
    return this.#ask();
  }

  /** Another network has another router; in the same one, the mapping is looked at. */
  async #lookAround(): Promise<void> {
    this.#failures = 0;
    const held = this.#held;
    if (held === undefined) return this.#ask();
    const gateway = await this.#parts.findGateway(this.#request.internalHost).catch(() => undefined);
    if (gateway?.address === held.gateway.address && gateway.local === held.gateway.local) return this.#look();
    // The old router, or our old address there, is out of reach: its lease ends by itself.
    this.#forget();
    return this.#ask();
  }

  #forget(): void {
    this.#held = undefined;
    this.#cancelNext();
    this.#cancelLook();
    this.#account.forgotten();
  }

  #failed(error: TunnelError): void {
    if (this.#closing) return;
    this.#held = undefined;
    this.#cancelLook();
    this.#failures += 1;
    this.#account.failed(error);
    this.#next(askAgainMs(this.#failures, this.#parts.random()), () => this.#ask());
  }

  #next(delayMs: number, work: () => Promise<void>): void {
    this.#cancelNext();
    this.#cancelNext = this.#parts.clock.after(delayMs, () => this.#take(work));
  }

  async #end(lastWork: () => Promise<void>): Promise<void> {
    this.#account.close();
    this.#cancelNext();
    this.#cancelLook();
    const { clock, turn, release } = this.#parts;
    release();
    const cancel = clock.after(ANSWER_GRACE_MS, () => this.#stop.abort(closedReason()));
    await turn(lastWork).catch((error: unknown) => {
      this.#account.note(...notRemovedNote(asTunnelError(error), this.facts));
    });
    cancel();
  }

  async #remove(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    const { protocol, ask, gateway } = held;
    const late = new AbortController();
    const cancel = this.#parts.clock.after(REMOVAL_MS, () => {
      late.abort(new TunnelError('TIMED_OUT', `Cannot ask the router ${gateway.address}: no answer`));
    });
    try {
      await protocol.unmap(ask, gateway, late.signal);
      this.#account.note('info', `The router ${gateway.address} no longer leads port ${ask.externalPort} here`);
    } finally {
      cancel();
    }
  }
}

function closedReason(): TunnelError {
  return new TunnelError('STOPPED', 'Cannot ask the router: the forward was stopped');
}
