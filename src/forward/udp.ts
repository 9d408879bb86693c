import type { RemoteInfo, Socket } from 'node:dgram';
import { formatEndpoint, type Endpoint, type TcpEndpoint } from '../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../model/failure.ts';
import { forwardTarget } from '../model/forward-target.ts';
import type { RelayForwardPlan } from '../model/plan.ts';
import { Admission } from './admission.ts';
import { Burst } from './burst.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from './forward-context.ts';
import { noCarrier } from './no-carrier.ts';
import { proxyHeader } from './proxy-protocol.ts';
import { TargetPool } from './target-pool.ts';
import { UdpAssociation } from './udp-association.ts';
import { listenUdp, peerText, type UdpListener } from './udp-listener.ts';

/** The contract's pace for a port that could not be bound. */
const REBIND_MS = 2_000;
/** Looking for the holder reads the files of all processes: done at first, then once in so many tries. */
const NAME_HOLDER_EVERY = 15;
const NO_HEADER = Buffer.alloc(0);

/**
 * A relay of datagrams: each client address has a socket of its own towards a target, so that answers find their way
 * back, until nothing has come from either side for the idle time.
 */
export class UdpRelay implements Forward {
  readonly #plan: RelayForwardPlan;
  readonly #context: ForwardContext;
  readonly #admission: Admission;
  readonly #burst: Burst;
  readonly #pool: TargetPool;
  readonly #associations = new Map<string, UdpAssociation>();
  readonly #finished = { connections: 0, receivedBytes: 0, sentBytes: 0 };
  #settings: ForwardSettings;
  #listener: UdpListener | undefined;
  #error: TunnelError | null = null;
  #tries = 0;
  #cancelRebind: () => void = () => undefined;
  #closing = false;
  #binding: Promise<void> = Promise.resolve();

  constructor(plan: RelayForwardPlan, context: ForwardContext) {
    this.#plan = plan;
    this.#context = context;
    this.#settings = context;
    this.#admission = new Admission(plan.allow);
    this.#burst = new Burst(context.clock, (...note) => context.onNote(...note));
    // Nothing answers a datagram of ours for sure: a target that refused is tried again after a while.
    this.#pool = new TargetPool({
      plan: { ...plan, expect: null },
      context,
      dial: (...to) => noCarrier.open(...to),
      reaches: null,
    });
  }

  get facts(): ForwardFacts {
    const { connections, receivedBytes, sentBytes } = this.#finished;
    const open = [...this.#associations.values()];
    return {
      name: this.#plan.name,
      kind: 'relay',
      bind: formatEndpoint(this.#bound),
      target: forwardTarget(this.#plan),
      listening: this.#listener !== undefined,
      error: this.#error,
      health: null,
      openConnections: open.length,
      totalConnections: connections + open.length,
      receivedBytes: open.reduce((sum, one) => sum + one.receivedBytes, receivedBytes),
      sentBytes: open.reduce((sum, one) => sum + one.sentBytes, sentBytes),
    };
  }

  start(): Promise<void> {
    this.#binding = this.#bind();
    return this.#binding;
  }

  linkChanged(): void {
    // There is no link.
  }

  update(settings: ForwardSettings): void {
    this.#settings = settings;
  }

  /** A datagram has no connection to drain: without the listener no answer could reach its client. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelRebind();
    await this.#binding;
    this.#pool.close();
    for (const [key, association] of this.#associations) {
      association.close();
      this.#ended(key, association, 'idle');
    }
    this.#listener?.close();
    this.#listener = undefined;
    this.#burst.flush();
  }

  get #bound(): Endpoint {
    return this.#listener?.bound ?? this.#plan.bind;
  }

  async #bind(): Promise<void> {
    try {
      const listener = await this.#listen(udpBind(this.#plan));
      if (this.#closing) return listener.close();
      this.#listening(listener);
    } catch (thrown) {
      if (!this.#closing) this.#notBound(asTunnelError(thrown));
    }
  }

  #listen(bind: TcpEndpoint): Promise<UdpListener> {
    const { preferredPort, onNote } = this.#context;
    return listenUdp({
      bind,
      ...(preferredPort === undefined ? {} : { preferredPort }),
      nameHolder: this.#tries++ % NAME_HOLDER_EVERY === 0,
      onDatagram: (datagram, from, socket) => this.#take(datagram, from, socket),
      onError: ({ message }) => this.#burst.note('error', `Cannot read at ${formatEndpoint(this.#bound)}: ${message}`),
      onNote: (message) => onNote('warn', message),
    });
  }

  #listening(listener: UdpListener): void {
    const late = this.#error !== null;
    this.#listener = listener;
    this.#error = null;
    this.#context.onBound(listener.bound.port);
    if (late) this.#context.onNote('info', `Listening at ${formatEndpoint(listener.bound)} now`);
    this.#context.onChange();
  }

  #notBound(error: TunnelError): void {
    const known = this.#error?.code === error.code && (this.#tries - 1) % NAME_HOLDER_EVERY !== 0;
    if (!known && this.#error?.message !== error.message) {
      this.#error = error;
      this.#context.onNote('error', error.message, error.code);
      this.#context.onChange();
    }
    this.#cancelRebind = this.#context.clock.after(REBIND_MS, () => {
      this.#binding = this.#bind();
    });
  }

  #take(datagram: Buffer, from: RemoteInfo, socket: Socket): void {
    const key = peerText(from);
    const association = this.#associations.get(key) ?? this.#admit(key, from, socket);
    association?.send(datagram);
  }

  #admit(key: string, from: RemoteInfo, socket: Socket): UdpAssociation | undefined {
    if (this.#closing) return undefined;
    const refused = this.#admission.admit(zoneless(from.address), this.#settings.limits);
    if (refused !== undefined) {
      const message = `Dropped a datagram from ${from.address} to ${formatEndpoint(this.#bound)}: ${refused.why}`;
      this.#burst.note('warn', message, refused.limit ? 'LIMIT_REACHED' : undefined);
      return undefined;
    }
    const association = this.#associate(key, from, socket);
    this.#associations.set(key, association);
    this.#context.onChange();
    return association;
  }

  #associate(client: string, from: RemoteInfo, socket: Socket): UdpAssociation {
    const { clock } = this.#context;
    const target = this.#pool.next().find(({ kind }) => kind === 'tcp') ?? udpBind(this.#plan);
    const association: UdpAssociation = new UdpAssociation({
      client,
      target: asUdp(target),
      header: this.#header(from, socket),
      clock,
      idleMs: this.#plan.idleMs,
      reply: (datagram) => socket.send(datagram, from.port, from.address, (error) => this.#unsent(client, error)),
      onAnswer: () => this.#pool.answered(target),
      onEnd: (why) => {
        if (why !== 'idle') this.#refused(target, why);
        this.#ended(client, association, why);
      },
    });
    return association;
  }

  #header(from: RemoteInfo, socket: Socket): Buffer {
    const { proxyProtocol } = this.#plan;
    if (proxyProtocol === null) return NO_HEADER;
    return proxyHeader(proxyProtocol, { transport: 'udp', ends: { source: from, destination: socket.address() } });
  }

  #refused(target: Endpoint, error: TunnelError): void {
    this.#burst.note('warn', error.message, error.code);
    this.#pool.failed(target, error);
  }

  #unsent(client: string, error: Error | null): void {
    if (error !== null && !this.#closing) this.#burst.note('warn', `Cannot answer ${client}: ${error.message}`);
  }

  #ended(key: string, association: UdpAssociation, why: 'idle' | TunnelError): void {
    this.#associations.delete(key);
    this.#admission.release(zoneless(addressOf(key)));
    const { client, target, durationMs, receivedBytes, sentBytes } = association;
    this.#finished.connections += 1;
    this.#finished.receivedBytes += receivedBytes;
    this.#finished.sentBytes += sentBytes;
    const end = why === 'idle' ? { end: 'done' as const } : { end: why.code, reason: why.message };
    this.#context.onConnection({
      forward: this.#plan.name,
      client,
      target,
      durationMs,
      receivedBytes,
      sentBytes,
      ...end,
    });
    this.#context.onChange();
  }
}

function udpBind({ bind }: RelayForwardPlan): TcpEndpoint {
  return asUdp(bind);
}

/** The profile's parser refuses unix sockets for datagrams. */
function asUdp(endpoint: Endpoint): TcpEndpoint {
  if (endpoint.kind === 'tcp') return endpoint;
  throw new TunnelError('INTERNAL', `Cannot relay datagrams at ${formatEndpoint(endpoint)}: it is a unix socket`);
}

function zoneless(address: string): string {
  return address.split('%', 1)[0] ?? address;
}

function addressOf(client: string): string {
  return client.slice(0, client.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}
