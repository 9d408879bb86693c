import type { RemoteInfo, Socket } from 'node:dgram';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import { forwardTarget } from '../../model/forward-target.ts';
import type { RelayForwardPlan } from '../../model/plan.ts';
import { Binding } from '../listen/binding.ts';
import { Burst } from '../clients/burst.ts';
import { ClientTurns } from '../clients/client-turns.ts';
import { Connections } from '../clients/connections.ts';
import { dialDatagrams, udpEndpoint } from '../reach/dial-datagrams.ts';
import { Entrance } from '../clients/entrance.ts';
import type { Forward, ForwardContext, ForwardFacts, ForwardSettings } from '../forward-context.ts';
import { proxyHeader } from '../reach/proxy-protocol.ts';
import type { SpliceEnding } from '../splice/splice.ts';
import { TargetPool } from '../reach/target-pool.ts';
import { UdpAssociation } from './udp-association.ts';
import { listenUdp, peerText, type UdpListener } from './udp-listener.ts';

const NO_HEADER = Buffer.alloc(0);

/**
 * A relay of datagrams: each client address has a socket of its own towards a target, so that answers find their way
 * back, until nothing has come from either side for the idle time.
 */
export class UdpRelay implements Forward {
  readonly #plan: RelayForwardPlan;
  readonly #context: ForwardContext;
  readonly #burst: Burst;
  readonly #entrance: Entrance;
  readonly #connections: Connections<UdpAssociation>;
  readonly #binding: Binding<UdpListener>;
  readonly #pool: TargetPool;
  /** By the address of their clients. */
  readonly #associations = new Map<string, UdpAssociation>();
  #settings: ForwardSettings;
  #closing = false;

  constructor(plan: RelayForwardPlan, context: ForwardContext) {
    this.#plan = plan;
    this.#context = context;
    this.#settings = context;
    const { clock } = context;
    this.#burst = new Burst(clock, (...note) => context.onNote(...note));
    this.#entrance = new Entrance({
      allow: plan.allow,
      turns: new ClientTurns('many'),
      burst: this.#burst,
      turnedAway: (from, why) => `Dropped a datagram from ${from} to ${formatEndpoint(this.#bound)}: ${why}`,
    });
    this.#connections = new Connections({
      forward: plan.name,
      label: forwardTarget(plan),
      clock,
      burst: this.#burst,
      onConnection: (record) => context.onConnection(record),
      onChange: () => context.onChange(),
    });
    this.#binding = new Binding({
      bind: (nameHolder) => this.#listen(nameHolder),
      clock,
      onBound: ({ bound }) => context.onBound(bound.port),
      onNote: (...note) => context.onNote(...note),
      onChange: () => context.onChange(),
    });
    this.#pool = new TargetPool({
      plan,
      context,
      dial: (target, _originator, signal) => dialDatagrams(target, plan.proxyProtocol, signal),
      reaches: null, // nothing answers a datagram for sure: a target that refused is tried again after a while
    });
  }

  get facts(): ForwardFacts {
    return {
      name: this.#plan.name,
      kind: 'relay',
      bind: formatEndpoint(this.#bound),
      target: forwardTarget(this.#plan),
      listening: this.#binding.listener !== undefined,
      error: this.#binding.error,
      ...this.#pool.facts,
      ...this.#connections.facts,
    };
  }

  start(): Promise<void> {
    this.#pool.start();
    return this.#binding.start();
  }

  linkChanged(): void {
    // There is no link.
  }

  update(settings: ForwardSettings): void {
    this.#settings = settings;
    this.#pool.update(settings.probe);
  }

  /** A datagram has no connection to drain: without the listener no answer could reach its client. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#pool.close();
    this.#connections.cutWhere(() => true);
    await this.#binding.close();
    this.#burst.flush();
  }

  get #bound(): Endpoint {
    return this.#binding.listener?.bound ?? this.#plan.bind;
  }

  async #listen(nameHolder: boolean): Promise<UdpListener> {
    const { preferredPort, onNote, sockets } = this.#context;
    return listenUdp({
      bind: udpEndpoint(this.#plan.bind),
      ...(sockets === undefined ? {} : { sockets }),
      ...(preferredPort === undefined ? {} : { preferredPort }),
      nameHolder,
      onDatagram: (datagram, from, socket) => this.#take(datagram, from, socket),
      onError: ({ message }) => this.#burst.note('error', `Cannot read at ${formatEndpoint(this.#bound)}: ${message}`),
      onNote: (message) => onNote('warn', message),
    });
  }

  #take(datagram: Buffer, from: RemoteInfo, socket: Socket): void {
    const key = peerText(from);
    const association = this.#associations.get(key) ?? this.#admit(key, from, socket);
    association?.send(datagram);
  }

  #admit(key: string, from: RemoteInfo, socket: Socket): UdpAssociation | undefined {
    if (this.#closing) return undefined;
    const turn = this.#entrance.admit(zoneless(from.address), this.#settings);
    if (turn === undefined) return undefined;
    const association: UdpAssociation = this.#associate(key, { from, socket }, (why) => {
      this.#associations.delete(key);
      this.#connections.ended(association, { name: 'served', ending: why });
      turn.leave();
    });
    this.#associations.set(key, association);
    this.#connections.add(association);
    return association;
  }

  #associate(client: string, { from, socket }: Peer, ended: (why: SpliceEnding) => void): UdpAssociation {
    const target = this.#pool.next().find(({ kind }) => kind === 'tcp') ?? this.#plan.bind;
    return new UdpAssociation({
      client,
      target: udpEndpoint(target),
      header: this.#header(from, socket),
      clock: this.#context.clock,
      idleMs: this.#plan.idleMs,
      reply: (datagram) => socket.send(datagram, from.port, from.address, (error) => this.#unsent(client, error)),
      onAnswer: () => this.#pool.answered(target),
      onEnd: (why) => {
        if (why instanceof TunnelError && why.code !== 'STOPPED') this.#refused(target, why);
        ended(why instanceof TunnelError ? why : 'done');
      },
    });
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
}

/** Who sent a datagram, and the socket of ours that an answer goes out by. */
interface Peer {
  readonly from: RemoteInfo;
  readonly socket: Socket;
}

function zoneless(address: string): string {
  return address.split('%', 1)[0] ?? address;
}
