import { createForward } from '../../src/forward/forward.ts';
import type { Forward, ForwardContext, KeptPassword } from '../../src/forward/forward-context.ts';
import { systemClock } from '../../src/link/clock.ts';
import type { Endpoint, TcpEndpoint } from '../../src/model/endpoint.ts';
import type { FailureCode } from '../../src/model/failure.ts';
import type { ForwardPlan, LocalForwardPlan, SocksForwardPlan } from '../../src/model/plan.ts';
import type { Secret } from '../../src/model/secret.ts';
import type { ConnectionRecord } from '../../src/model/status.ts';
import { LocalCarrier } from './local-carrier.ts';

export interface Note {
  readonly level: string;
  readonly message: string;
  readonly code?: FailureCode;
  readonly repeated?: number;
}

/** A local forward on a free loopback port, its carrier without SSH, and all that it said. */
export interface ForwardFixture extends AsyncDisposable {
  readonly forward: Forward;
  readonly carrier: LocalCarrier;
  readonly notes: Note[];
  readonly records: ConnectionRecord[];
  readonly boundPorts: number[];
  readonly changes: { count: number };
  /** The port that is bound now. */
  readonly port: number;
}

export const ANY_PORT: TcpEndpoint = { kind: 'tcp', host: '127.0.0.1', port: 0 };

export function aLocalPlan(target: Endpoint, plan: Partial<LocalForwardPlan> = {}): LocalForwardPlan {
  return {
    kind: 'local',
    name: 'mail',
    bind: ANY_PORT,
    target,
    allow: null,
    expect: null,
    demand: null,
    clients: 'many',
    ...plan,
  };
}

export function keptPassword(user: string, password: Secret | undefined): KeptPassword {
  return { subject: `${user}@home/proxy`, read: () => Promise.resolve(password) };
}

export function aSocksPlan(plan: Partial<SocksForwardPlan> = {}): SocksForwardPlan {
  return {
    kind: 'socks',
    name: 'proxy',
    bind: ANY_PORT,
    auth: null,
    expectAt: null,
    allow: null,
    expect: null,
    demand: null,
    clients: 'many',
    ...plan,
  };
}

type Overrides = Partial<ForwardContext> & { carrier?: LocalCarrier };

/** Builds a local forward, does not start. The caller disposes of it. */
export function aForward(
  target: Endpoint,
  { plan = {}, ...overrides }: Overrides & { plan?: Partial<LocalForwardPlan> } = {},
): ForwardFixture {
  return forwardOf(aLocalPlan(target, plan), overrides);
}

/** As `aForward`, of any kind. */
export function forwardOf(plan: ForwardPlan, overrides: Overrides = {}): ForwardFixture {
  const carrier = overrides.carrier ?? new LocalCarrier();
  const notes: Note[] = [];
  const records: ConnectionRecord[] = [];
  const boundPorts: number[] = [];
  const changes = { count: 0 };
  const forward = createForward(plan, {
    clock: systemClock,
    limits: { connections: 1024, perClient: 1024 },
    whileDown: { hold: true, holdMs: 15_000, queue: 256 },
    probe: { everyMs: 30_000, timeoutMs: 5_000 },
    proxyPassword: (user) => keptPassword(user, undefined),
    onBound: (port) => boundPorts.push(port),
    onChange: () => (changes.count += 1),
    onConnection: (record) => records.push(record),
    onNote: (level, message, code, repeated) =>
      notes.push({
        level,
        message,
        ...(code === undefined ? {} : { code }),
        ...(repeated === undefined ? {} : { repeated }),
      }),
    ...overrides,
    carrier,
  });
  return {
    forward,
    carrier,
    notes,
    records,
    boundPorts,
    changes,
    get port() {
      return Number(/\d+$/.exec(forward.facts.bind)?.[0]);
    },
    [Symbol.asyncDispose]: () => forward.close(0),
  };
}

export async function aStartedForward(...given: Parameters<typeof aForward>): Promise<ForwardFixture> {
  const fixture = aForward(...given);
  await fixture.forward.start();
  return fixture;
}
