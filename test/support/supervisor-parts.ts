import { ListeningSockets } from '../../src/forward/listen/listening-sockets.ts';
import { NOTHING_UNLOCKED } from '../../src/model/handover.ts';
import type { Forward, ForwardContext, ForwardFacts } from '../../src/forward/forward-context.ts';
import { sameForward } from '../../src/forward/forward.ts';
import type { CarrierStatus, ManagedCarrier } from '../../src/link/carrier.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { NOTHING_REMEMBERED, type SupervisorMemory } from '../../src/model/memory.ts';
import type { ForwardPlan, HopPlan, LocalForwardPlan, Plan } from '../../src/model/plan.ts';
import type { StatusEvent } from '../../src/model/status.ts';
import type { CarrierNeeds, StateStore, SupervisorDeps } from '../../src/supervisor/deps.ts';
import { FakeClock } from './fake-clock.ts';

/** A forward from this loopback port to the same port of pop.example.org. */
export function aForward(port: number, name = `pop${port}`): LocalForwardPlan {
  return {
    kind: 'local',
    name,
    bind: { kind: 'tcp', host: '127.0.0.1', port },
    target: { kind: 'tcp', host: 'pop.example.org', port: port === 0 ? 110 : port },
    allow: null,
    expect: null,
    demand: null,
    clients: 'many',
  };
}

export function aHop(facts: Partial<HopPlan> = {}): HopPlan {
  return {
    label: 'alice@pop.example.org',
    host: 'pop.example.org',
    port: 22,
    user: 'alice',
    hostKeyName: 'pop.example.org',
    addressFamily: 'any',
    bindAddress: null,
    proxyCommand: null,
    identities: [],
    certificates: [],
    identitiesOnly: false,
    agent: null,
    auth: ['publickey'],
    knownHosts: [],
    hostKey: { kind: 'strict' },
    hashKnownHosts: false,
    updateHostKeys: 'no',
    revokedHostKeys: null,
    caSignatureAlgorithms: null,
    compression: false,
    ciphers: null,
    kex: null,
    macs: null,
    hostKeyAlgorithms: null,
    legacy: false,
    rekey: { bytes: null, everyMs: null },
    ...facts,
  };
}

/** A whole plan with product.md's defaults, named by its file. */
export function aTunnelPlan(facts: Partial<Plan> & { readonly name: string }): Plan {
  return {
    file: `/profiles/${facts.name}.yaml`,
    description: '',
    tags: [],
    hops: [aHop()],
    forwards: [aForward(1110)],
    keepalive: { intervalMs: 15_000, maxMissed: 3 },
    reconnect: { initialMs: 500, maxMs: 30_000, giveUpAfterMs: null },
    timeouts: { connectMs: 10_000, loginMs: 30_000, channelMs: 15_000 },
    limits: { connections: 1024, perClient: 256 },
    whileDown: { hold: true, holdMs: 15_000, queue: 256 },
    probe: { everyMs: 30_000, timeoutMs: 5_000 },
    secrets: { password: { kind: 'prompt' }, passphrase: { kind: 'prompt' }, totp: { kind: 'prompt' } },
    connections: 1,
    after: [],
    hooks: { up: null, down: null, waiting: null },
    warnings: [],
    ...facts,
  };
}

/** A carrier whose phase the test sets; it says what was asked of it. */
export class SteeredCarrier implements ManagedCarrier {
  readonly plan: Plan;
  readonly needs: CarrierNeeds;
  readonly calls: string[] = [];
  status: CarrierStatus = {
    phase: 'connecting',
    latencyMs: null,
    reconnects: 0,
    lastError: null,
    nextRetryAtMs: null,
    facts: null,
  };
  #callbacks = new Set<() => void>();

  constructor(plan: Plan, needs: CarrierNeeds) {
    this.plan = plan;
    this.needs = needs;
  }

  set(status: Partial<CarrierStatus>): void {
    this.status = { ...this.status, ...status };
    for (const callback of this.#callbacks) callback();
  }

  get up(): boolean {
    return this.status.phase === 'up';
  }

  open(): Promise<never> {
    return Promise.reject(new TunnelError('INTERNAL', 'Nobody opens channels here'));
  }

  listen(): never {
    throw new TunnelError('INTERNAL', 'Nobody listens here');
  }

  need(): () => void {
    return () => undefined;
  }

  subscribe(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => void this.#callbacks.delete(callback);
  }

  renew(plan?: Plan): void {
    this.calls.push(plan === undefined ? 'renew' : `renew ${plan.name}`);
  }

  retry(): void {
    this.calls.push('retry');
  }

  wake(): void {
    this.calls.push('wake');
  }

  close(drainMs: number): Promise<void> {
    this.calls.push(`close ${drainMs}`);
    return Promise.resolve();
  }
}

/** A forward that listens once started, unless the test says otherwise; its drain ends when the test says so. */
export class SteeredForward implements Forward {
  readonly plan: ForwardPlan;
  readonly context: ForwardContext;
  readonly calls: string[] = [];
  facts: ForwardFacts;
  #drained: () => void = () => undefined;
  /** While set, `close` waits for `drained`. */
  busy = false;

  constructor(plan: ForwardPlan, context: ForwardContext) {
    this.plan = plan;
    this.context = context;
    const port = plan.bind.kind === 'tcp' ? plan.bind.port : 0;
    this.facts = {
      name: plan.name,
      kind: plan.kind,
      bind: `127.0.0.1:${port}`,
      target: 'pop.example.org:110',
      listening: false,
      error: null,
      health: null,
      openConnections: 0,
      totalConnections: 0,
      receivedBytes: 0,
      sentBytes: 0,
    };
  }

  set(facts: Partial<ForwardFacts>): void {
    this.facts = { ...this.facts, ...facts };
    this.context.onChange();
  }

  start(): Promise<void> {
    this.calls.push('start');
    this.set({ listening: true });
    return Promise.resolve();
  }

  linkChanged(): void {
    this.calls.push('linkChanged');
  }

  update(): void {
    this.calls.push('update');
  }

  close(drainMs: number): Promise<void> {
    this.calls.push(`close ${drainMs}`);
    this.set({ listening: false });
    if (!this.busy || drainMs === 0) this.#drained();
    return this.busy && drainMs > 0 ? new Promise((resolve) => (this.#drained = resolve)) : Promise.resolve();
  }

  drained(): void {
    this.#drained();
  }
}

/** A store that keeps what was saved where the test can see it. */
export class SeenStore implements StateStore {
  memory: SupervisorMemory;
  saves = 0;
  refuses: TunnelError | undefined;

  constructor(memory: SupervisorMemory = NOTHING_REMEMBERED) {
    this.memory = memory;
  }

  load(): Promise<{ memory: SupervisorMemory }> {
    return Promise.resolve({ memory: this.memory });
  }

  save(memory: SupervisorMemory): Promise<void> {
    if (this.refuses !== undefined) return Promise.reject(this.refuses);
    this.saves += 1;
    this.memory = memory;
    return Promise.resolve();
  }
}

/** Everything that a supervisor needs, steered: profiles are values, carriers and forwards do what the test says. */
export class Stage {
  readonly clock = new FakeClock();
  readonly profiles = new Map<string, Plan | TunnelError>();
  readonly carriers: SteeredCarrier[] = [];
  readonly forwards: SteeredForward[] = [];
  readonly store: SeenStore;
  network = 'eth0';
  onMakeCarrier: (plan: Plan) => void = () => undefined;
  onMakeForward: (plan: ForwardPlan) => void = () => undefined;

  constructor(memory?: SupervisorMemory) {
    this.store = new SeenStore(memory);
  }

  /** Puts a profile where `resolve` finds it. */
  profile(facts: Partial<Plan> & { readonly name: string }): Plan {
    const plan = aTunnelPlan(facts);
    this.profiles.set(plan.name, plan);
    this.profiles.set(plan.file, plan);
    return plan;
  }

  carrier(name: string): SteeredCarrier {
    const found = this.carriers.findLast(({ plan }) => plan.name === name);
    if (found === undefined) throw new Error(`No carrier of ${name} was made`);
    return found;
  }

  forward(name: string): SteeredForward {
    const found = this.forwards.findLast(({ plan }) => plan.name === name);
    if (found === undefined) throw new Error(`No forward ${name} was made`);
    return found;
  }

  get deps(): SupervisorDeps {
    return {
      version: '1.2.3',
      clock: this.clock,
      resolve: (name) => {
        const found =
          this.profiles.get(name) ?? new TunnelError('PROFILE_NOT_FOUND', `Cannot find the profile ${name}`);
        return found instanceof TunnelError ? Promise.reject(found) : Promise.resolve(found);
      },
      listNames: (tag) => {
        const all = [...this.profiles.values()].flatMap((found) => (found instanceof TunnelError ? [] : [found]));
        const tagged = all.filter(({ tags }) => tag === undefined || tags.includes(tag));
        return Promise.resolve([...new Set(tagged.map(({ name }) => name))]);
      },
      refuseConflicts: () => undefined,
      makeCarrier: (plan, needs) => {
        this.onMakeCarrier(plan);
        const carrier = new SteeredCarrier(plan, needs);
        this.carriers.push(carrier);
        return carrier;
      },
      makeForward: (plan, context) => {
        this.onMakeForward(plan);
        const forward = new SteeredForward(plan, context);
        this.forwards.push(forward);
        return forward;
      },
      sameForward,
      readPassword: () => Promise.resolve(undefined),
      estate: { sockets: new ListeningSockets(), unlocked: () => NOTHING_UNLOCKED, serverBinds: {} },
      store: this.store,
      log: null,
      onNotes: () => undefined,
      authSock: undefined,
      networkNow: () => this.network,
    };
  }
}

/** Collects what a supervisor says. */
export function heard(supervisor: { subscribe(listener: (event: StatusEvent) => void): () => void }): StatusEvent[] {
  const events: StatusEvent[] = [];
  supervisor.subscribe((event) => events.push(event));
  return events;
}
