import type { Forward, ForwardContext, ForwardSettings } from '../forward/forward-context.ts';
import type { Ask } from '../link/ask.ts';
import type { ManagedCarrier } from '../link/carrier.ts';
import { asTunnelError, TunnelError, type FailureCode } from '../model/failure.ts';
import type { ForwardPlan, Plan } from '../model/plan.ts';
import type { StatusEvent, TunnelStatus } from '../model/status.ts';
import { Announcer } from './announcer.ts';
import type { NoteLevel, SupervisorDeps } from './deps.ts';
import { reconcile, sameLink } from './reconcile.ts';
import { forwardState, type TunnelFacts } from './state.ts';
import { absentForward, tunnelStatus } from './tunnel-status.ts';

/** What a tunnel has from its supervisor. */
export interface TunnelContext {
  readonly deps: Pick<SupervisorDeps, 'clock' | 'makeCarrier' | 'makeForward' | 'sameForward'>;
  readonly ask: Ask;
  readonly openQuestions: () => number;
  readonly agentSocket: () => string | undefined;
  /** Resolves once the tunnels are up that this one comes after. */
  readonly ready: (after: readonly string[], signal: AbortSignal) => Promise<void>;
  readonly keptPort: (forward: string) => number | undefined;
  readonly keepPort: (forward: string, port: number) => void;
  readonly emit: (event: StatusEvent) => void;
}

/** Connections of a listener that a reload took away end by themselves, or with the tunnel: the longest time a timer takes. */
const UNTIL_THEY_END_MS = 2 ** 31 - 1;
/** What a forward or carrier may take beyond the drain to close, before the tunnel counts as stopped without it. */
const CLOSE_GRACE_MS = 5_000;

/**
 * One tunnel: a carrier and its forwards, from `start` to `stop`. Nothing here throws and nothing rejects: a fault of a
 * part becomes a failed state and a note, so that no tunnel can touch another. Its supervisor owns it.
 */
export class Tunnel {
  readonly #context: TunnelContext;
  readonly #announcer: Announcer;
  #plan: Plan;
  #wish: TunnelFacts['wish'] = 'stopped';
  #failure: TunnelError | null = null;
  #carrier: ManagedCarrier | undefined;
  #unsubscribe: () => void = () => undefined;
  #linkUp = false;
  readonly #slots = new Map<string, Slot>();
  /** Forwards that a reload took away, while their connections last. */
  readonly #leaving = new Set<Forward>();
  /** Settles once what `#failure` ended is closed. */
  #dismantled: Promise<void> = Promise.resolve();

  constructor(plan: Plan, context: TunnelContext) {
    this.#plan = plan;
    this.#context = context;
    this.#announcer = new Announcer(context.deps.clock, {
      hooks: () => this.#plan.hooks,
      look: () => this.#look(),
      emit: context.emit,
      note: (level, message) => this.note(level, message),
    });
  }

  get plan(): Plan {
    return this.#plan;
  }

  get status(): TunnelStatus {
    return this.#announcer.dated(this.#undated());
  }

  /** Binds the listeners, then has the link dialled. */
  start(): void {
    this.#wish = 'run';
    for (const warning of this.#plan.warnings) this.note('warn', warning);
    this.#open();
  }

  /** A person asks: what failed starts from the beginning, what waits or backs off dials now; what is up stays as it is. */
  retry(): void {
    if (this.#wish !== 'run') return;
    if (this.#failure === null) {
      const phase = this.#carrier?.status.phase;
      if (phase !== 'up' && phase !== 'idle') this.#guard(() => this.#carrier?.retry());
      return;
    }
    this.#failure = null;
    this.#carrier = undefined;
    this.#slots.clear();
    this.changed();
    void this.#dismantled.then(() => {
      if (this.#wish === 'run' && this.#carrier === undefined && this.#failure === null) this.#open();
    });
  }

  /** Goes over to the new plan: what is the same in both stays, with its connections. */
  reload(plan: Plan): void {
    const old = this.#plan;
    this.#plan = plan;
    for (const warning of plan.warnings) if (!old.warnings.includes(warning)) this.note('warn', warning);
    if (this.#failure !== null || this.#carrier === undefined) return this.retry();
    if (!sameLink(old, plan)) this.#guard(() => this.#carrier?.renew(plan));
    this.#replaceForwards(plan);
    this.changed();
  }

  /** As `reload`, and over a new link in any case. */
  restart(plan: Plan): void {
    const renewed = !sameLink(this.#plan, plan);
    const failed = this.#failure !== null;
    this.reload(plan);
    if (failed || this.#carrier === undefined) return;
    if (this.#carrier.status.phase !== 'up') this.retry();
    else if (!renewed) this.#guard(() => this.#carrier?.renew(plan));
  }

  /** The machine slept, or its network changed. */
  wake(): void {
    if (this.#wish === 'run' && this.#failure === null) this.#guard(() => this.#carrier?.wake());
  }

  /** Listeners close at once; connections have until `drainMs`. Resolves when all is closed. Called again, the shorter drain counts. */
  async stop(drainMs: number): Promise<void> {
    if (this.#wish === 'stopped') return;
    this.#wish = 'stopping';
    this.changed();
    await this.#dismantle(drainMs);
    this.#wish = 'stopped';
    this.#guard(() => this.#announcer.flush());
  }

  /** Resolves once no hook runs or waits. */
  get hooksIdle(): Promise<void> {
    return this.#announcer.hooksIdle;
  }

  /** Something that the status is made from has changed: told once for all changes of this turn. */
  changed(): void {
    this.#announcer.changed();
  }

  note(level: NoteLevel, message: string, code?: FailureCode, repeated?: number): void {
    this.#context.emit({
      event: 'note',
      at: new Date(this.#context.deps.clock.wallMs()).toISOString(),
      tunnel: this.#plan.name,
      level,
      ...(code === undefined ? {} : { code }),
      message,
      ...(repeated === undefined ? {} : { repeated }),
    });
  }

  #open(): void {
    try {
      const carrier = this.#context.deps.makeCarrier(this.#plan, {
        ask: this.#context.ask,
        agentSocket: this.#context.agentSocket,
        onNote: (message, level = 'info') => this.note(level, message),
        ready: (signal) => this.#context.ready(this.#plan.after, signal),
      });
      this.#carrier = carrier;
      this.#linkUp = false;
      this.#unsubscribe = carrier.subscribe(() => this.#carrierChanged(carrier));
    } catch (error) {
      return this.#giveUp(asTunnelError(error));
    }
    for (const forward of this.#plan.forwards) this.#addForward(forward, this.#carrier);
    this.changed();
  }

  #carrierChanged(carrier: ManagedCarrier): void {
    if (carrier.up !== this.#linkUp) {
      this.#linkUp = carrier.up;
      for (const { forward } of this.#slots.values()) this.#guard(() => forward?.linkChanged());
    }
    this.changed();
  }

  #addForward(plan: ForwardPlan, carrier: ManagedCarrier): void {
    const slot: Slot = { plan, forward: undefined, fault: null, wasUp: false };
    this.#slots.set(plan.name, slot);
    const failed = (error: unknown): void => {
      slot.fault = asTunnelError(error);
      this.note('error', slot.fault.message, slot.fault.code);
      this.changed();
    };
    try {
      slot.forward = this.#context.deps.makeForward(plan, this.#forwardContext(plan, carrier));
      slot.forward.start().catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #forwardContext({ name: forward, bind }: ForwardPlan, carrier: ManagedCarrier): ForwardContext {
    const { limits, whileDown, probe, name: tunnel } = this.#plan;
    const { deps, keptPort, keepPort, emit } = this.#context;
    const chosen = bind.kind === 'tcp' && bind.port === 0; // a port that the person named needs no memory
    const preferredPort = chosen ? keptPort(forward) : undefined;
    return {
      carrier,
      clock: deps.clock,
      limits,
      whileDown,
      probe,
      ...(preferredPort === undefined ? {} : { preferredPort }),
      onBound: (port) => chosen && keepPort(forward, port),
      onChange: () => this.changed(),
      onConnection: (record) =>
        emit({ event: 'connection', at: new Date(deps.clock.wallMs()).toISOString(), tunnel, ...record }),
      onNote: (level, message, code, repeated) => this.note(level, message, code, repeated),
    };
  }

  #replaceForwards(plan: Plan): void {
    const carrier = this.#carrier;
    if (carrier === undefined) return;
    const running = new Map([...this.#slots].map(([name, slot]) => [name, slot.plan]));
    const wanted = new Map(plan.forwards.map((forward) => [forward.name, forward]));
    const { stop, keep, change } = reconcile(running, wanted, (one, other) => {
      const sound = this.#slots.get(one.name)?.fault === null;
      return sound && this.#context.deps.sameForward(one, other);
    });
    for (const name of [...stop, ...change]) this.#leave(name); // all of them first: a new one may want an old one's port
    const kept = new Map(keep.map((name) => [name, this.#slots.get(name)]));
    this.#slots.clear();
    for (const forward of plan.forwards) {
      const slot = kept.get(forward.name);
      if (slot === undefined) this.#addForward(forward, carrier);
      else this.#keep({ ...slot, plan: forward }, plan);
    }
  }

  #keep(slot: Slot, settings: ForwardSettings): void {
    this.#slots.set(slot.plan.name, slot);
    this.#guard(() => slot.forward?.update(settings));
  }

  #leave(name: string): void {
    const forward = this.#slots.get(name)?.forward;
    if (forward === undefined) return;
    this.#leaving.add(forward);
    void this.#closing(() => forward.close(UNTIL_THEY_END_MS)).then(() => this.#leaving.delete(forward));
  }

  /** Nothing but a person starts it again: the listeners close, so that clients learn of it. */
  #giveUp(error: TunnelError): void {
    this.#failure = error;
    this.note('error', error.message, error.code);
    this.#dismantled = this.#dismantle(0);
    this.changed();
  }

  async #dismantle(drainMs: number): Promise<void> {
    const carrier = this.#carrier;
    this.#unsubscribe();
    const forwards = [...this.#leaving, ...[...this.#slots.values()].flatMap(({ forward }) => forward ?? [])];
    const closed = Promise.all(forwards.map((forward) => this.#closing(() => forward.close(drainMs))));
    await this.#atMost(drainMs + CLOSE_GRACE_MS, closed);
    if (carrier !== undefined)
      await this.#atMost(
        CLOSE_GRACE_MS,
        this.#closing(() => carrier.close(0)),
      );
  }

  async #atMost(limitMs: number, work: Promise<unknown>): Promise<void> {
    let cancel: () => void = () => undefined;
    const late = new Promise<'late'>(
      (resolve) => (cancel = this.#context.deps.clock.after(limitMs, () => resolve('late'))),
    );
    if ((await Promise.race([work, late])) === 'late')
      this.note('error', 'Some connections did not close in time', 'TIMED_OUT');
    cancel();
  }

  /** Runs a close that may throw or reject: the others are closed all the same. */
  async #closing(close: () => Promise<void>): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.#say(error);
    }
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#say(error);
    }
  }

  #say(thrown: unknown): void {
    const { message, code } = asTunnelError(thrown);
    this.note('error', message, code);
  }

  /** The status as it is now, once its consequences are drawn. */
  #look(): TunnelStatus {
    const carrier = this.#carrier?.status;
    if (this.#wish === 'run' && this.#failure === null && carrier?.phase === 'failed') {
      this.#giveUp(
        carrier.lastError ?? new TunnelError('INTERNAL', `Cannot run ${this.#plan.name}: no reason was given`),
      );
    }
    const facts = this.#facts();
    [...this.#slots.values()].forEach((slot, index) => {
      const live = facts.forwards[index];
      if (live !== undefined && forwardState(live, facts) === 'up') slot.wasUp = true;
    });
    return this.status;
  }

  #undated(): Omit<TunnelStatus, 'since'> {
    return tunnelStatus({
      plan: this.#plan,
      facts: this.#facts(),
      carrier: this.#carrier?.status ?? null,
      forwards: [...this.#slots.values()].map(
        ({ forward, plan, fault }) => forward?.facts ?? absentForward(plan, fault),
      ),
      errorAtMs: (error) => this.#announcer.firstSeenMs(error),
    });
  }

  #facts(): TunnelFacts {
    // Between a failure and the next start there is no carrier: it is as good as connecting.
    const carrier = this.#carrier?.status ?? { phase: 'connecting', lastError: null };
    return {
      wish: this.#wish,
      failure: this.#failure,
      carrier: this.#plan.hops.length === 0 ? null : carrier,
      openQuestions: this.#context.openQuestions(),
      forwards: [...this.#slots.values()].map(({ forward, fault, wasUp }) => ({
        listening: forward?.facts.listening === true && fault === null,
        error: fault ?? forward?.facts.error ?? null,
        wasUp,
      })),
    };
  }
}

interface Slot {
  readonly plan: ForwardPlan;
  forward: Forward | undefined;
  /** What its making or its start threw: a fault of ours, beside the errors that it reports itself. */
  fault: TunnelError | null;
  wasUp: boolean;
}
