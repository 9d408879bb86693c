import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { cleanLine } from '../model/clean.ts';
import { formatEndpoint } from '../model/endpoint.ts';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import type { HopPlan, Plan } from '../model/plan.ts';
import type { Ask } from '../link/ask.ts';
import type { Dial, Transport } from '../link/transport.ts';
import { proveBinds } from './bind-step.ts';
import { proveForward, proveRelay, type ForwardNeeds } from './forward-steps.ts';
import { proveRouter, type RouterNeeds } from './router-steps.ts';
import { timed, type CheckStep, type Work } from './timed.ts';

export interface CheckNeeds extends ForwardNeeds, RouterNeeds {
  readonly dial: Dial;
  readonly ask: Ask;
  readonly agentSocket: string | undefined;
  /** Whether a supervisor runs this tunnel, and so holds its ports, or tries to, itself. */
  readonly running: boolean;
}

/**
 * Proves a plan a step at a time, and ends at the first one that the next ones stand on. Each forward is tried by
 * itself. Leaves nothing open, and nothing bound on this machine.
 */
export async function* proveSteps(plan: Plan, needs: CheckNeeds): AsyncGenerator<CheckStep, void> {
  if (!needs.running) yield* proveBinds(plan.forwards, needs);
  for (const forward of plan.forwards) if (forward.kind === 'relay') yield* proveRelay(forward, plan, needs);
  yield* proveRouter(plan.forwards, needs);
  const [first] = plan.hops;
  const tunnelled = plan.forwards.filter((forward) => forward.kind !== 'relay');
  if (first === undefined || (tunnelled.length === 0 && plan.forwards.length > 0)) return;
  if (first.proxyCommand === null) {
    for (const step of [resolveName, connectTcp]) {
      const result = await timed(needs, ...step(first, plan, needs.signal));
      yield result;
      if (result.error !== undefined) return;
    }
  }
  const login = await logIn(plan, needs);
  yield* login.steps;
  if (login.transport === undefined) return;
  try {
    for (const forward of tunnelled) yield* proveForward(forward, login.transport, plan, needs);
  } finally {
    login.transport.close();
  }
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
