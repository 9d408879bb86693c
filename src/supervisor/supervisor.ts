import { parseEndpoint, type Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';
import type { Plan } from '../model/plan.ts';
import type { Caller, OpenQuestion, Selection, UpTunnel } from '../model/request.ts';
import type { StatusEvent, StatusSnapshot, SupervisorStatus } from '../model/status.ts';
import type { NoteLevel, SupervisorDeps } from './deps.ts';
import { EventStream } from './event-stream.ts';
import { MemoryKeeper } from './memory-keeper.ts';
import { firstUp } from './order.ts';
import { Questions, type Attendant } from './questions.ts';
import { samePlan } from './reconcile.ts';
import { ProfileReader } from './profile-reader.ts';
import type { Wish } from './resolving.ts';
import { tunnelName } from '../model/profile-name.ts';
import { Succession } from './succession.ts';
import { Tunnel } from './tunnel.ts';
import { Tunnels } from './tunnels.ts';
import { WakeWatch } from './wake.ts';

/** What `down` gives open connections where nobody says otherwise. */
export const DEFAULT_DRAIN_MS = 10_000;
/** Hooks of tunnels that a leaving supervisor stops may take so long; then they go on without it. */
const HOOKS_GRACE_MS = 3_000;

/**
 * Runs tunnels and keeps them running. It dials, parses and prints nothing itself: the parts come from `compose()`.
 * Every request first checks all that it was given and throws before it changes anything. The owner calls `close`.
 */
export class TunnelSupervisor {
  /** The questions that tunnels wait with, and who answers them. */
  readonly questions: Questions;
  /** How another supervisor takes the place of this one. */
  readonly succession: Succession;
  readonly #deps: SupervisorDeps;
  readonly #status: SupervisorStatus;
  readonly #tunnels: Tunnels;
  readonly #memory: MemoryKeeper;
  readonly #reader: ProfileReader;
  readonly #events: EventStream;
  readonly #wake: WakeWatch;
  /** Left by the supervisor before this one; each is told once. */
  readonly #serverBinds: Map<string, Record<string, string>>;
  #closing: Promise<void> | undefined;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    const startedAt = new Date(deps.clock.wallMs()).toISOString();
    this.#status = { pid: process.pid, startedAt, version: deps.version };
    this.#events = new EventStream(deps.log);
    this.#tunnels = new Tunnels({
      clock: deps.clock,
      make: (plan) => this.#make(plan),
      emit: (event) => this.#events.emit(event),
      save: () => this.#memory.save(),
      onAny: (any) => (any ? this.#wake.start() : this.#wake.stop()),
      refuseClosed: () => this.#refuseClosed(),
    });
    this.#reader = new ProfileReader(deps, {
      names: () => this.#tunnels.names,
      wants: (name) => this.#tunnels.wants(name),
      plan: (name) => this.#tunnels.get(name)?.plan,
      wanted: (name) => this.#tunnels.wanted(name),
    });
    this.questions = new Questions(deps.clock, (tunnel) => this.#tunnels.get(tunnel)?.changed());
    const sayOnce = onceEach((message) => this.#note('error', message));
    this.#memory = new MemoryKeeper(deps.store, () => this.#tunnels.allWanted, sayOnce);
    this.succession = new Succession({
      estate: deps.estate,
      tunnels: this.#tunnels,
      memory: this.#memory,
      quiet: () => this.#events.quiet(),
    });
    this.#serverBinds = new Map(Object.entries(deps.estate.serverBinds).map(([name, binds]) => [name, { ...binds }]));
    deps.onNotes((level, message) => this.#note(level, message));
    this.#wake = new WakeWatch(
      deps.clock,
      () => deps.networkNow(),
      () => {
        for (const tunnel of this.#tunnels.all) tunnel.wake();
      },
    );
  }

  /**
   * Brings tunnels up, and returns before their links are: the events tell. One that runs is reloaded if its profile has
   * changed, and tried anew if it is not up. `attendant` is asked the questions of these tunnels from the start.
   * @throws PROFILE_NOT_FOUND, PROFILE_INVALID with every problem, PROFILE_CONFLICT, USAGE; nothing is changed then
   */
  async up(select: Selection, caller: Caller, attendant?: Attendant): Promise<readonly UpTunnel[]> {
    this.#refuseClosed();
    const names = await this.#reader.chosen(select, caller);
    return this.#bringUp(await this.#reader.read(names, caller), caller, attendant);
  }

  /**
   * Takes tunnels down and resolves with their names once they are. One that exists and does not run is down already.
   * @param drainMs how long open connections may take to end by themselves
   * @throws PROFILE_NOT_FOUND for a name that neither runs nor exists; nothing is changed then
   */
  async down(select: Selection, drainMs: number, caller: Caller): Promise<readonly string[]> {
    const names = await this.#reader.known(select, caller);
    for (const name of names) this.succession.tookDown(name, drainMs);
    await Promise.all(names.map((name) => this.#tunnels.takeDown(name, drainMs)));
    return names;
  }

  /**
   * Reads the profiles anew and moves the tunnels to new links, once those are up; what failed or waits is tried anew.
   * @throws NOT_RUNNING, PROFILE_NOT_FOUND, PROFILE_INVALID; nothing is changed then
   */
  async restart(select: Selection, caller: Caller, attendant?: Attendant): Promise<readonly UpTunnel[]> {
    this.#refuseClosed();
    const names = await this.#reader.known(select, caller);
    const stopped = names.filter((name) => !this.#tunnels.wants(name)).join(', ');
    if (stopped !== '')
      throw new TunnelError('NOT_RUNNING', `Cannot restart ${stopped}: not running`, {
        hint: `Start it with \`tunnel up ${stopped.replaceAll(', ', ' ')}\`.`,
      });
    return this.#applyAnew(names, caller, attendant, (tunnel, plan) => tunnel.restart(plan));
  }

  /**
   * Reads the profiles anew and changes what differs: an unchanged forward keeps its connections, and the link stays
   * where its own settings are as before. A tunnel that does not run is left alone.
   * @throws PROFILE_NOT_FOUND, PROFILE_INVALID, PROFILE_CONFLICT; nothing is changed then
   */
  async reload(select: Selection, caller: Caller): Promise<readonly UpTunnel[]> {
    this.#refuseClosed();
    const names = (await this.#reader.known(select, caller)).filter((name) => this.#tunnels.wants(name));
    return this.#applyAnew(names, caller, undefined, (tunnel, plan) => {
      if (!samePlan(tunnel.plan, plan)) tunnel.reload(plan);
    });
  }

  /**
   * Makes the set of running tunnels exactly this: starts, stops and changes what differs. Names are looked up from the
   * working directory; a plan of a program's own runs as it is, and is not remembered over the supervisor's end.
   */
  async apply(profiles: readonly (string | Plan)[], drainMs = DEFAULT_DRAIN_MS): Promise<readonly UpTunnel[]> {
    this.#refuseClosed();
    const caller = here();
    const own = profiles.filter((profile) => typeof profile !== 'string');
    const wishes = await this.#reader.read(
      profiles.filter((profile) => typeof profile === 'string'),
      caller,
    );
    const wanted = new Map([...wishes.map((wish) => wish.plan), ...own].map((plan) => [plan.name, plan]));
    this.#deps.refuseConflicts([...wanted.values()]);
    const surplus = this.#tunnels.names.filter((name) => !wanted.has(name));
    await Promise.all(surplus.map((name) => this.#tunnels.takeDown(name, drainMs)));
    return this.#bringUp([...wishes, ...own.map((plan) => ({ plan, wanted: null }))], caller);
  }

  /** `up` of one profile, or of a program's own plan. */
  async start(profile: string | Plan): Promise<UpTunnel> {
    this.#refuseClosed();
    const wishes =
      typeof profile === 'string' ? await this.#reader.read([profile], here()) : [{ plan: profile, wanted: null }];
    const started = await this.#bringUp(wishes, here());
    const own = started.at(-1);
    if (own === undefined) throw new TunnelError('INTERNAL', 'Cannot start a tunnel: its profile gave no plan');
    return own;
  }

  /** `down` of one tunnel. Resolves when it is down. */
  async stop(name: string, drainMs = DEFAULT_DRAIN_MS): Promise<void> {
    if (this.#tunnels.wants(tunnelName(name))) await this.#tunnels.takeDown(tunnelName(name), drainMs);
    else await this.down({ names: [name] }, drainMs, here());
  }

  /** Everything as it is now. Ask for it first and subscribe in the same turn: then no event is lost between. */
  snapshot(): StatusSnapshot {
    return { version: 1, supervisor: this.#status, tunnels: this.#tunnels.rows };
  }

  /** Calls back with each event from now on; the snapshot before is the caller's to take. @returns how to stop that */
  subscribe(listener: (event: StatusEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  /** The last events of a tunnel, oldest first; null for those that belong to none. */
  recent(tunnel: string | null): readonly StatusEvent[] {
    return this.#events.recent(tunnel);
  }

  /** How many tunnels are to run: a daemon without any has no reason to stay. */
  get wantedCount(): number {
    return this.#tunnels.wantedCount;
  }

  /**
   * This person answers the questions of these tunnels (null: of all) from now on, and those that wait try again.
   * `questions.detach(attendant)` ends it. @returns the names of the tunnels that waited, and what is asked already
   */
  attend(
    names: readonly string[] | null,
    attendant: Attendant,
    caller?: Pick<Caller, 'authSock'>,
  ): { readonly waiting: readonly string[]; readonly open: readonly OpenQuestion[] } {
    this.#memory.heedAuthSock(caller?.authSock);
    const meant = names?.map(tunnelName) ?? null;
    this.questions.attend(meant, attendant);
    const concerned = this.#tunnels.all.filter(({ plan }) => meant === null || meant.includes(plan.name));
    const waiting = concerned.filter(({ status }) => status.state === 'waiting');
    for (const tunnel of waiting) if (this.questions.openCount(tunnel.plan.name) === 0) tunnel.retry();
    return { waiting: waiting.map(({ plan }) => plan.name), open: this.questions.open };
  }

  /**
   * Starts what was wanted when the last supervisor ended, and from then on keeps on disk what is wanted. Without it
   * nothing but chosen ports is kept. Never rejects: what cannot be started is said.
   */
  async restore(): Promise<void> {
    this.#memory.heedAuthSock(this.#deps.authSock); // of whoever started this supervisor: later than what is remembered
    const { wanted } = await this.#memory.takeOver();
    const found = await Promise.all(wanted.map((one) => this.#findAgain(one)));
    const wishes = found.filter((wish) => wish !== undefined);
    await this.#bringUp(wishes, here());
  }

  /** Stops everything and keeps what was wanted for the next supervisor. Safe to call twice. */
  close(drainMs = DEFAULT_DRAIN_MS): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    await this.#memory.freeze();
    this.succession.tookDown(null, drainMs);
    this.#wake.stop();
    const tunnels = this.#tunnels.all;
    await Promise.all(this.#tunnels.names.map((name) => this.#tunnels.takeDown(name, drainMs)));
    const hooks = Promise.all(tunnels.map((tunnel) => tunnel.hooksIdle));
    const patience = new AbortController();
    await Promise.race([hooks, this.#deps.clock.sleep(HOOKS_GRACE_MS, patience.signal).catch(() => undefined)]);
    patience.abort();
    await this.#deps.log?.close();
  }

  /** Reads a wanted profile at a restore. One that is gone is said and forgotten; one that is wrong waits to be mended. */
  async #findAgain(wanted: WantedTunnel): Promise<Wish | undefined> {
    try {
      return await this.#reader.readWanted(wanted);
    } catch (thrown) {
      const error = asTunnelError(thrown);
      if (error.code === 'PROFILE_NOT_FOUND') this.#note('warn', error.message, wanted.name);
      else this.#tunnels.addBroken(wanted, error);
      return undefined;
    }
  }

  async #bringUp(wishes: readonly Wish[], caller: Caller, attendant?: Attendant): Promise<readonly UpTunnel[]> {
    this.#memory.heedAuthSock(caller.authSock);
    await this.#memory.recall();
    const names = wishes.map(({ plan }) => plan.name);
    if (attendant !== undefined) this.questions.attend(names, attendant);
    const started = await Promise.all(wishes.map((wish) => this.#tunnels.start(wish)));
    await this.#memory.save();
    return started;
  }

  async #applyAnew(
    names: readonly string[],
    caller: Caller,
    attendant: Attendant | undefined,
    act: (tunnel: Tunnel, plan: Plan) => void,
  ): Promise<readonly UpTunnel[]> {
    const wishes = await this.#reader.readAgain(names);
    this.#memory.heedAuthSock(caller.authSock);
    if (attendant !== undefined) this.questions.attend(names, attendant);
    const changed = await Promise.all(wishes.map((wish) => this.#tunnels.change(wish, act)));
    await this.#memory.save();
    return changed.filter((tunnel) => tunnel !== undefined);
  }

  #make(plan: Plan): Tunnel {
    const { name } = plan;
    return new Tunnel(plan, {
      deps: this.#deps,
      ask: (question, signal) => this.questions.ask(name, question, signal),
      openQuestions: () => this.questions.openCount(name),
      agentSocket: () => this.#memory.authSock ?? this.#deps.authSock,
      ready: (after, signal) =>
        firstUp(name, after, signal, {
          state: (other) => this.#tunnels.get(other)?.status.state,
          subscribe: (listener) => this.#events.subscribe(listener),
        }),
      keptPort: (forward) => this.#memory.port(name, forward),
      keepPort: (forward, port) => this.#memory.keepPort(name, forward, port),
      serverBind: (forward) => this.#takeServerBind(name, forward),
      emit: (event) => this.#events.emit(event),
    });
  }

  #takeServerBind(tunnel: string, forward: string): Endpoint | undefined {
    const binds = this.#serverBinds.get(tunnel);
    const bind = binds?.[forward];
    delete binds?.[forward];
    return bind === undefined ? undefined : parseEndpoint(bind);
  }

  /** Tells everybody who listens, and the log, what went wrong around the tunnels and belongs to none of them. Never throws. */
  noteFault(message: string): void {
    this.#note('error', message);
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined)
      throw new TunnelError('STOPPED', 'Cannot change tunnels: the supervisor is stopping');
  }

  #note(level: NoteLevel, message: string, tunnel: string | null = null): void {
    this.#events.emit({ event: 'note', at: this.#now(), tunnel, level, message });
  }

  #now(): string {
    return new Date(this.#deps.clock.wallMs()).toISOString();
  }
}

/** Where a program that embeds the supervisor stands. */
function here(): Caller {
  return { cwd: process.cwd() };
}

/** A disk that is full says so with each write: once is enough. */
function onceEach(say: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (said.has(message)) return;
    said.add(message);
    say(message);
  };
}
