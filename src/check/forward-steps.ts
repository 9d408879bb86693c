import { dialDatagrams } from '../forward/reach/dial-datagrams.ts';
import { dialLocal } from '../forward/reach/dial.ts';
import { probeService, silentService } from '../forward/reach/probe.ts';
import type { Channel, Transport } from '../link/transport.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { Expectation, ForwardPlan, Plan, RelayForwardPlan } from '../model/plan.ts';
import { refusalHint } from '../model/refusal-hint.ts';
import { firstBytes } from './first-bytes.ts';
import { timed, type CheckStep, type TimedNeeds } from './timed.ts';

export interface ForwardNeeds extends TimedNeeds {
  /** Whether the running tunnel has this forward in place: the server cannot listen at its port twice. */
  readonly inPlace: (forward: string) => boolean;
}

type Steps = AsyncGenerator<CheckStep, void>;

/**
 * What can be proved of one forward over a connection that is logged in: that the server opens a channel to its target,
 * or listens for it, and what the service behind it says. Nothing is left open.
 */
export async function* proveForward(
  forward: ForwardPlan,
  transport: Transport,
  plan: Plan,
  needs: ForwardNeeds,
): Steps {
  const prover = new Prover(transport, plan, needs);
  const { name, bind, expect } = forward;
  switch (forward.kind) {
    case 'local':
      return yield* prover.byChannel(name, forward.target, expect);
    case 'socks':
      if (forward.expectAt === null) yield await prover.opensChannels(name);
      else yield* prover.byChannel(name, forward.expectAt, expect);
      return;
    case 'remote':
      yield* prover.listens(name, bind);
      return yield* prover.fromHere(name, forward.target, expect);
    case 'remote-socks':
      yield* prover.listens(name, bind);
      if (forward.expectAt !== null) yield* prover.fromHere(name, forward.expectAt, expect);
      return;
    case 'trigger':
      yield* prover.byChannel(name, forward.target, expect);
      for (const port of forward.opens) yield* prover.listens(name, port.bind);
      return;
    case 'relay':
      return;
  }
}

/** Every target by itself, from here. A datagram proves nothing by itself: without `expect` its receiver alone knows of it. */
export async function* proveRelay(forward: RelayForwardPlan, plan: Plan, needs: TimedNeeds): Steps {
  if (forward.protocol === 'udp') return yield* answersDatagrams(forward, plan, needs);
  for (const target of forward.targets) yield* fromHere({ ...forward, target }, plan, needs);
}

async function* answersDatagrams(
  { name, targets, expect, proxyProtocol }: RelayForwardPlan,
  plan: Plan,
  needs: TimedNeeds,
): Steps {
  if (expect === null) return;
  for (const target of targets) {
    const place = `${name}: ${formatEndpoint(target)}`;
    const limit = answerLimit(plan, needs);
    yield await timed(needs, 'answer', place, async () => {
      const channel = await dialDatagrams(target, proxyProtocol, limit);
      return expected({ target, expect, channel }, plan, limit);
    });
  }
}

class Prover {
  readonly #transport: Transport;
  readonly #plan: Plan;
  readonly #needs: ForwardNeeds;

  constructor(transport: Transport, plan: Plan, needs: ForwardNeeds) {
    this.#transport = transport;
    this.#plan = plan;
    this.#needs = needs;
  }

  /** What the server dials, through it. */
  async *byChannel(name: string, target: Endpoint, expect: Expectation | null): Steps {
    const place = `${name}: ${formatEndpoint(target)}`;
    let channel: Channel | undefined;
    yield await timed(this.#needs, 'channel', place, async () => {
      channel = await this.#open(target);
      return 'open';
    });
    if (channel !== undefined) yield await serviceStep({ place, target, expect, channel }, this.#plan, this.#needs);
  }

  fromHere(name: string, target: Endpoint, expect: Expectation | null): Steps {
    return fromHere({ name, target, expect, connectMs: this.#plan.timeouts.connectMs }, this.#plan, this.#needs);
  }

  /** Clients of a proxy name their own targets: that the server opens channels at all is seen at its own SSH port. */
  opensChannels(name: string): Promise<CheckStep> {
    const port = this.#plan.hops.at(-1)?.port ?? 22;
    const own: Endpoint = { kind: 'tcp', host: '127.0.0.1', port };
    return timed(this.#needs, 'channel', `${name}: any host`, async () => {
      try {
        (await this.#open(own)).abort();
      } catch (thrown) {
        const error = asTunnelError(thrown);
        if (error.code !== 'TARGET_REFUSED') throw prohibited(error); // refused: it tried, and that is all that is asked
      }
      return 'the server opens channels';
    });
  }

  /**
   * Asks the server to listen, and lets go at once; whoever connects meanwhile is refused. Not for a Unix socket: sshd leaves
   * its file, which would then be in the way.
   */
  async *listens(name: string, bind: Endpoint): Steps {
    if (bind.kind === 'unix') return;
    yield await timed(this.#needs, 'listen', `${name}: ${formatEndpoint(bind)}`, async () => {
      if (this.#needs.inPlace(name)) return 'the running tunnel has it';
      const { signal } = this.#needs;
      const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#plan.timeouts.channelMs)]);
      const bound = await this.#transport
        .requestForward(bind, (incoming) => incoming.refuse(), limit)
        .catch((thrown: unknown) => {
          throw refused(bind, asTunnelError(thrown));
        });
      await this.#transport.cancelForward(bound, limit);
      return `the server listens at ${formatEndpoint(bound)}`;
    });
  }

  #open(target: Endpoint): Promise<Channel> {
    return this.#transport.openDirect(target, { address: '127.0.0.1', port: 0 }, this.#needs.signal);
  }
}

interface Reached {
  readonly name: string;
  readonly target: Endpoint;
  readonly expect: Expectation | null;
  readonly connectMs: number;
}

async function* fromHere({ name, target, expect, connectMs }: Reached, plan: Plan, needs: TimedNeeds): Steps {
  const place = `${name}: ${formatEndpoint(target)}`;
  let channel: Channel | undefined;
  yield await timed(needs, 'TCP', place, async () => {
    channel = await dialLocal(target, AbortSignal.any([needs.signal, AbortSignal.timeout(connectMs)]));
    return 'open';
  });
  if (channel !== undefined) yield await serviceStep({ place, target, expect, channel }, plan, needs);
}

interface Service {
  readonly place: string;
  readonly target: Endpoint;
  readonly expect: Expectation | null;
  readonly channel: Channel;
}

interface Expected extends Pick<Service, 'target' | 'channel'> {
  readonly expect: Expectation;
}

/** What the service says by itself; with `expect`, whether it says what is expected. */
function serviceStep({ place, target, expect, channel }: Service, plan: Plan, needs: TimedNeeds): Promise<CheckStep> {
  return timed(needs, 'first bytes', place, async () => {
    if (expect === null) return firstBytes(channel, needs.signal);
    return expected({ target, expect, channel }, plan, answerLimit(plan, needs));
  });
}

function answerLimit({ probe }: Plan, { signal }: TimedNeeds): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(probe.timeoutMs)]);
}

/** @returns the line that shows it */
async function expected({ target, expect, channel }: Expected, plan: Plan, limit: AbortSignal): Promise<string> {
  const result = await probeService(() => Promise.resolve(channel), expect, limit, target);
  if (result.health === 'ok') return result.said === '' ? `${expect.kind}, as expected` : result.said;
  throw limit.aborted ? silentService(expect, target, plan.probe.timeoutMs) : result.error;
}

function refused(bind: Endpoint, error: TunnelError): TunnelError {
  if (error.code !== 'FORWARD_REFUSED') return error;
  return new TunnelError(error.code, error.message, { cause: error, hint: refusalHint(bind) });
}

function prohibited(error: TunnelError): TunnelError {
  if (error.code !== 'TARGET_PROHIBITED') return error;
  const hint =
    'AllowTcpForwarding in sshd_config must allow it. Where PermitOpen permits some places, name one of them as `expectAt`.';
  return new TunnelError(error.code, error.message, { cause: error, hint });
}
