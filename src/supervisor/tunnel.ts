import type { ForwardContext } from '../forward/forward-context.ts';
import type { Ask } from '../link/ask.ts';
import type { ManagedCarrier } from '../link/carrier.ts';
import type { Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError, type FailureCode } from '../model/failure.ts';
import type { ForwardPlan, Plan } from '../model/plan.ts';
import type { StatusEvent, TunnelStatus } from '../model/status.ts';
import { Announcer } from './announcer.ts';
import type { NoteLevel, SupervisorDeps } from './deps.ts';
import { ForwardSet, type ForwardView } from './forward-set.ts';
import { sameLink } from './reconcile.ts';
import { needsLink, type TunnelFacts } from './state.ts';
import { tunnelStatus } from './tunnel-status.ts';

/** What a tunnel has from its supervisor. */
export interface TunnelContext {
  readonly deps: Pick<
    SupervisorDeps,
    'clock' | 'makeCarrier' | 'makeForward' | 'sameForward' | 'readPassword' | 'estate'
  >;
  readonly ask: Ask;
  readonly openQuestions: () => number;
  readonly agentSocket: () => string | undefined;
  /** Resolves once the tunnels are up that this one comes after. */
  readonly ready: (after: readonly string[], signal: AbortSignal) => Promise<void>;
  readonly keptPort: (forward: string) => number | undefined;
  readonly keepPort: (forward: string, port: number) => void;
  /** Where the server listened for this forward of a supervisor that has left it to us; told once. */
  readonly serverBind: (forward: string) => Endpoint | undefined;
  readonly emit: (event: StatusEvent) => void;
}

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
  readonly #forwards: ForwardSet;
  /** Settles once what `#failure` ended is closed. */
  #dismantled: Promise<void> = Promise.resolve();

  constructor(plan: Plan, context: TunnelContext) {
    this.#plan = plan;
    this.#context = context;
    this.#forwards = new ForwardSet({
      deps: context.deps,
      contextOf: (forward) => this.#forwardContext(forward),
      onFault: (error) => this.#say(error),
    });
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
    return this.#statusOf(this.#forwards.views);
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
    this.#forwards.clear();
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
    // An edit of the only forward keeps its connection: until the next one listens nobody else would need it.
    const release = this.#carrier.up ? this.#carrier.need() : undefined;
    if (!sameLink(old, plan)) this.#guard(() => this.#carrier?.renew(plan));
    this.#forwards.replace(plan.forwards, plan);
    void this.#forwards.tried.then(() => release?.());
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
    if (this.#wish !== 'run' || this.#failure !== null) return;
    this.#guard(() => this.#carrier?.wake());
    this.#forwards.networkChanged();
  }

  /** Listeners close at once; connections have until `drainMs`. Resolves when all is closed. Called again, the shorter drain counts. */
  async stop(drainMs: number): Promise<void> {
    if (this.#wish === 'stopped') return;
    this.#wish = 'stopping';
    this.changed();
    await this.#dismantle(drainMs);
    this.#wish = 'stopped';
    this.#guard(() => this.#announcer.end());
  }

  /** As `stop`, of a tunnel that another supervisor runs by now: nothing is told, and a client that waits is served. */
  async leave(drainMs: number): Promise<void> {
    if (this.#wish === 'stopped') return;
    this.#wish = 'stopping';
    this.#announcer.silence();
    await this.#dismantle(drainMs, 'serve');
    this.#wish = 'stopped';
  }

  /** Resolves once each forward has made its first attempt to bind. */
  get tried(): Promise<void> {
    return this.#forwards.tried;
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
    for (const forward of this.#plan.forwards) this.#forwards.add(forward);
    this.changed();
  }

  #carrierChanged(carrier: ManagedCarrier): void {
    if (carrier.up !== this.#linkUp) {
      this.#linkUp = carrier.up;
      this.#forwards.linkChanged();
    }
    this.changed();
  }

  #forwardContext({ name: forward, bind }: ForwardPlan): ForwardContext {
    const carrier = this.#carrier;
    if (carrier === undefined) throw new TunnelError('INTERNAL', `Cannot make forward ${forward}: there is no carrier`);
    const { limits, whileDown, probe, name: tunnel } = this.#plan;
    const { deps, keptPort, keepPort, serverBind, emit } = this.#context;
    const chosen = bind.kind === 'tcp' && bind.port === 0; // a port that the person named needs no memory
    const preferredPort = chosen ? keptPort(forward) : undefined;
    const before = serverBind(forward);
    return {
      carrier,
      clock: deps.clock,
      limits,
      whileDown,
      probe,
      proxyPassword: (user) => {
        const subject = `${user}@${tunnel}/${forward}`;
        return { subject, read: () => deps.readPassword(subject, this.#plan.secrets.password) };
      },
      ...(preferredPort === undefined ? {} : { preferredPort }),
      ...(before === undefined ? {} : { serverBind: before }),
      sockets: deps.estate.sockets.ownedBy({ tunnel, forward }),
      onBound: (port) => chosen && keepPort(forward, port),
      onChange: () => this.#announcer.stirred(),
      onConnection: (record) =>
        emit({ event: 'connection', at: new Date(deps.clock.wallMs()).toISOString(), tunnel, ...record }),
      onNote: (level, message, code, repeated) => this.note(level, message, code, repeated),
    };
  }

  /** Nothing but a person starts it again: the listeners close, so that clients learn of it. */
  #giveUp(error: TunnelError): void {
    this.#failure = error;
    this.note('error', error.message, error.code);
    this.#dismantled = this.#dismantle(0);
    this.changed();
  }

  async #dismantle(drainMs: number, held: 'cut' | 'serve' = 'cut'): Promise<void> {
    const carrier = this.#carrier;
    this.#unsubscribe();
    await this.#atMost(drainMs + CLOSE_GRACE_MS, this.#forwards.close(drainMs, held));
    if (carrier !== undefined) await this.#atMost(CLOSE_GRACE_MS, this.#closed(carrier));
  }

  /** @param work never rejects */
  async #atMost(limitMs: number, work: Promise<void>): Promise<void> {
    let cancel: () => void = () => undefined;
    const late = new Promise<'late'>((resolve) => {
      cancel = this.#context.deps.clock.after(limitMs, () => resolve('late'));
    });
    const outcome = await Promise.race([work, late]);
    if (outcome === 'late') this.note('error', 'Some connections did not close in time', 'TIMED_OUT');
    cancel();
  }

  async #closed(carrier: ManagedCarrier): Promise<void> {
    try {
      await carrier.close(0);
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
    this.changed();
  }

  /** The status as it is now, once its consequences are drawn. */
  #look(): TunnelStatus {
    const carrier = this.#carrier?.status;
    if (this.#wish === 'run' && this.#failure === null && carrier?.phase === 'failed') {
      const silent = (): TunnelError =>
        new TunnelError('INTERNAL', `Cannot run ${this.#plan.name}: no reason was given`);
      this.#giveUp(carrier.lastError ?? silent());
    }
    const views = this.#forwards.views;
    const status = this.#statusOf(views);
    status.forwards.forEach(({ state }, index) => state === 'up' && views[index]?.wasUp());
    return status;
  }

  #statusOf(views: readonly ForwardView[]): TunnelStatus {
    const carrier = this.#carrier?.status ?? null;
    const undated = tunnelStatus({
      plan: this.#plan,
      facts: {
        wish: this.#wish,
        failure: this.#failure,
        // Between a failure and the next start there is no carrier: it is as good as connecting.
        carrier: !this.#plan.forwards.some(needsLink) ? null : (carrier ?? { phase: 'connecting', lastError: null }),
        openQuestions: this.#context.openQuestions(),
        forwards: views.map(({ liveness }) => liveness),
      },
      carrier,
      forwards: views.map(({ facts }) => facts),
      leavingConnections: this.#forwards.leavingConnections,
      errorAtMs: (error) => this.#announcer.firstSeenMs(error),
    });
    return this.#announcer.dated(undated);
  }
}
