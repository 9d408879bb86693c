import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { cleanLine } from '../model/clean.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { ForwardPlan, HopPlan, Plan, RelayForwardPlan } from '../model/plan.ts';
import type { Ask } from '../link/ask.ts';
import type { Channel, Dial, Transport } from '../link/transport.ts';
import { dialLocal } from '../forward/dial.ts';
import { firstBytes } from './first-bytes.ts';

/** One thing that was proved, or was not. */
export interface CheckStep {
  /** `DNS`, `TCP`, `host key`, `login`, `channel`, `first bytes`. */
  readonly step: string;
  /** Whom it was tried with. */
  readonly subject: string;
  readonly ms: number;
  /** What was found: an address, a server's version, the first line of the service. Clean, on one line. */
  readonly found: string;
  /** Why it failed; undefined where it did not. */
  readonly error: TunnelError | undefined;
}

export interface CheckNeeds {
  readonly dial: Dial;
  readonly ask: Ask;
  readonly agentSocket: string | undefined;
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
}

/**
 * Proves a plan a step at a time, and ends at the first one that the next ones stand on. Each forward is tried by
 * itself. Binds nothing and leaves nothing open.
 */
export async function* proveSteps(plan: Plan, needs: CheckNeeds): AsyncGenerator<CheckStep, void> {
  for (const forward of plan.forwards) if (forward.kind === 'relay') yield* proveRelay(forward, needs);
  const [first] = plan.hops;
  const tunnelled = plan.forwards.filter((forward) => forward.kind !== 'relay');
  if (first === undefined || (tunnelled.length === 0 && plan.forwards.length > 0)) return;
  const timed = timer(needs);
  if (first.proxyCommand === null) {
    for (const step of [resolveName, connectTcp]) {
      const result = await timed(...step(first, plan, needs.signal));
      yield result;
      if (result.error !== undefined) return;
    }
  }
  const login = await logIn(plan, needs);
  yield* login.steps;
  if (login.transport === undefined) return;
  try {
    for (const forward of tunnelled) yield* proveForward(forward, login.transport, needs);
  } finally {
    login.transport.close();
  }
}

type Work = () => Promise<string>;

function timer({ nowMs, signal }: CheckNeeds): (step: string, subject: string, work: Work) => Promise<CheckStep> {
  return async (step, subject, work) => {
    const sinceMs = nowMs();
    const done = (found: string, error?: TunnelError): CheckStep => {
      return { step, subject, ms: Math.round(nowMs() - sinceMs), found: cleanLine(found, 120), error };
    };
    try {
      return done(await work());
    } catch (thrown) {
      signal.throwIfAborted();
      return done('', asTunnelError(thrown));
    }
  };
}

function resolveName({ host }: HopPlan): [string, string, Work] {
  return [
    'DNS',
    host,
    async () => {
      try {
        const addresses = await lookup(host, { all: true });
        return addresses.map(({ address }) => address).join(', ');
      } catch (thrown) {
        throw new TunnelError('NAME_UNRESOLVED', `Cannot resolve ${host}`, { cause: thrown });
      }
    },
  ];
}

function connectTcp({ host, port }: HopPlan, { timeouts }: Plan, signal: AbortSignal): [string, string, Work] {
  const place = formatEndpoint({ kind: 'tcp', host, port });
  return [
    'TCP',
    place,
    () =>
      new Promise((resolve, reject) => {
        const socket = connect({ host, port, signal });
        const late = setTimeout(
          () => socket.destroy(new TunnelError('CONNECT_TIMEOUT', `Cannot connect to ${place}: no answer`)),
          timeouts.connectMs,
        );
        socket.once('connect', () => {
          resolve(
            `from ${formatEndpoint({ kind: 'tcp', host: socket.localAddress ?? '', port: socket.localPort ?? 0 })}`,
          );
          socket.destroy();
        });
        socket.once('error', (error) => reject(connectFailure(place, error)));
        socket.once('close', () => clearTimeout(late));
      }),
  ];
}

function connectFailure(place: string, error: NodeJS.ErrnoException): TunnelError {
  if (error instanceof TunnelError) return error;
  const refused = error.code === 'ECONNREFUSED';
  const why = refused ? 'the connection was refused' : (error.code ?? error.message);
  return new TunnelError(refused ? 'CONNECT_REFUSED' : 'UNREACHABLE', `Cannot connect to ${place}: ${why}`, {
    cause: error,
  });
}

interface Login {
  readonly steps: readonly CheckStep[];
  readonly transport: Transport | undefined;
}

/** One dial is two steps: it says itself when the host key was trusted and the login began. */
async function logIn(plan: Plan, needs: CheckNeeds): Promise<Login> {
  const subject = plan.hops.at(-1)?.label ?? '';
  const startMs = needs.nowMs();
  let trustedMs: number | undefined;
  const step = (name: string, fromMs: number, toMs: number, found: string, error?: TunnelError): CheckStep => {
    return { step: name, subject, ms: Math.round(toMs - fromMs), found: cleanLine(found, 120), error };
  };
  try {
    const transport = await needs.dial({
      hops: plan.hops,
      timeouts: plan.timeouts,
      secrets: plan.secrets,
      agentSocket: needs.agentSocket,
      ask: needs.ask,
      onPhase: (phase) => {
        if (phase === 'authenticating') trustedMs ??= needs.nowMs();
      },
      onNote: () => undefined,
      signal: needs.signal,
    });
    const { serverVersion, hostKey, cipher } = transport.facts;
    const betweenMs = trustedMs ?? startMs;
    const steps = [
      step('host key', startMs, betweenMs, `${hostKey}, ${serverVersion}`),
      step('login', betweenMs, needs.nowMs(), cipher),
    ];
    return { steps, transport };
  } catch (thrown) {
    needs.signal.throwIfAborted();
    const error = asTunnelError(thrown);
    if (trustedMs === undefined) {
      return { steps: [step('host key', startMs, needs.nowMs(), '', error)], transport: undefined };
    }
    const steps = [step('host key', startMs, trustedMs, 'known'), step('login', trustedMs, needs.nowMs(), '', error)];
    return { steps, transport: undefined };
  }
}

/** What the server dials is proved through it. Where each client names its own target there is none; a remote forward's is dialled from here. */
async function* proveForward(
  forward: ForwardPlan,
  transport: Transport,
  needs: CheckNeeds,
): AsyncGenerator<CheckStep, void> {
  if (forward.kind !== 'local') return;
  const { name, target } = forward;
  const timed = timer(needs);
  const place = `${name}: ${formatEndpoint(target)}`;
  let channel: Channel | undefined;
  yield await timed('channel', place, async () => {
    channel = await transport.openDirect(target, { address: '127.0.0.1', port: 0 }, needs.signal);
    return 'open';
  });
  if (channel === undefined) return;
  const opened = channel;
  yield await timed('first bytes', place, () => firstBytes(opened, needs.signal));
}

/** Every target by itself, from here. Datagrams prove nothing: whether one arrives, its receiver alone knows. */
async function* proveRelay(
  { name, targets, protocol, connectMs }: RelayForwardPlan,
  needs: CheckNeeds,
): AsyncGenerator<CheckStep, void> {
  if (protocol === 'udp') return;
  const timed = timer(needs);
  for (const target of targets) {
    const place = `${name}: ${formatEndpoint(target)}`;
    let channel: Channel | undefined;
    yield await timed('TCP', place, async () => {
      channel = await dialLocal(target, AbortSignal.any([needs.signal, AbortSignal.timeout(connectMs)]));
      return 'open';
    });
    if (channel === undefined) continue;
    const opened = channel;
    yield await timed('first bytes', place, () => firstBytes(opened, needs.signal));
  }
}
