import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createForward } from '../../src/forward/forward.ts';
import type { Forward } from '../../src/forward/forward-context.ts';
import { systemClock } from '../../src/link/clock.ts';
import type { ForwardSockets } from '../../src/forward/listen/listening-sockets.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Endpoint, TcpEndpoint } from '../../src/model/endpoint.ts';
import type { RelayForwardPlan } from '../../src/model/plan.ts';
import type { ConnectionRecord } from '../../src/model/status.ts';
import { ANY_PORT, keptPassword, type Note } from './forward-fixture.ts';
import { LocalCarrier } from './local-carrier.ts';

/** A relay on a free loopback port, and all that it said. The carrier is one that a relay must leave alone. */
export interface RelayFixture extends AsyncDisposable {
  readonly forward: Forward;
  readonly carrier: LocalCarrier;
  readonly notes: Note[];
  readonly records: ConnectionRecord[];
  readonly port: number;
}

export interface RelayWishes {
  readonly plan?: Partial<RelayForwardPlan>;
  readonly clock?: Clock;
  readonly limits?: { readonly connections: number; readonly perClient: number };
  readonly preferredPort?: number;
  readonly sockets?: ForwardSockets;
}

export function aRelayPlan(targets: readonly Endpoint[], plan: Partial<RelayForwardPlan> = {}): RelayForwardPlan {
  return {
    kind: 'relay',
    name: 'web',
    bind: ANY_PORT,
    targets,
    protocol: 'tcp',
    choose: 'failover',
    proxyProtocol: null,
    connectMs: 10_000,
    idleMs: 120_000,
    allow: null,
    expect: null,
    demand: null,
    clients: 'many',
    ...plan,
  };
}

/** Starts it; the caller disposes of it. */
export async function aRelay(targets: readonly Endpoint[], wishes: RelayWishes = {}): Promise<RelayFixture> {
  const { plan, clock = systemClock, limits = { connections: 1024, perClient: 1024 }, preferredPort, sockets } = wishes;
  const carrier = new LocalCarrier(false);
  const notes: Note[] = [];
  const records: ConnectionRecord[] = [];
  const forward = createForward(aRelayPlan(targets, plan), {
    carrier,
    clock,
    proxyPassword: (user) => keptPassword(user, undefined),
    limits,
    whileDown: { hold: true, holdMs: 15_000, queue: 256 },
    probe: { everyMs: 30_000, timeoutMs: 5_000 },
    ...(preferredPort === undefined ? {} : { preferredPort }),
    ...(sockets === undefined ? {} : { sockets }),
    onBound: () => undefined,
    onChange: () => undefined,
    onConnection: (record) => records.push(record),
    onNote: (level, message, code) => notes.push({ level, message, ...(code === undefined ? {} : { code }) }),
  });
  await forward.start();
  return {
    forward,
    carrier,
    notes,
    records,
    get port() {
      return Number(/\d+$/.exec(forward.facts.bind)?.[0]);
    },
    [Symbol.asyncDispose]: () => forward.close(0),
  };
}

/** A UDP service on a free loopback port. The caller disposes of it. */
export class UdpTarget {
  readonly #socket: Socket;
  readonly heard: Buffer[] = [];
  /** Where its datagrams came from: `address:port`, each once. */
  readonly peers = new Set<string>();

  constructor(socket: Socket, answer: (datagram: Buffer) => Buffer | undefined) {
    this.#socket = socket;
    socket.on('message', (datagram, from) => {
      this.heard.push(datagram);
      this.peers.add(`${from.address}:${from.port}`);
      const said = answer(datagram);
      if (said !== undefined) socket.send(said, from.port, from.address);
    });
  }

  /** @param answer what it says to each datagram; by default the datagram itself */
  static async start(
    answer: (datagram: Buffer) => Buffer | undefined = (datagram) => datagram,
    port = 0,
  ): Promise<UdpTarget> {
    const socket = createSocket('udp4');
    socket.bind(port, '127.0.0.1');
    await once(socket, 'listening');
    return new UdpTarget(socket, answer);
  }

  get endpoint(): TcpEndpoint {
    return { kind: 'tcp', host: '127.0.0.1', port: this.#socket.address().port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

/** A UDP client of a relay at a loopback port. */
export class UdpClient {
  readonly heard: string[] = [];
  readonly #socket: Socket;
  readonly #to: RemoteInfo['port'];
  readonly #host: string;

  constructor(port: number, host = '127.0.0.1') {
    this.#socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    this.#to = port;
    this.#host = host;
    this.#socket.on('message', (datagram) => this.heard.push(datagram.toString()));
  }

  send(text: string): void {
    this.#socket.send(text, this.#to, this.#host);
  }

  /** As `send`, and resolves once the system has taken it. */
  sent(text: string): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#socket.send(text, this.#to, this.#host, (error) => (error === null ? resolve() : reject(error))),
    );
  }

  /** The socket's own port, once it has sent something. */
  get port(): number {
    return this.#socket.address().port;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** A port on which nothing listens: it was free a moment ago. */
export async function deadUdpPort(): Promise<TcpEndpoint> {
  const target = await UdpTarget.start();
  const { endpoint } = target;
  await target[Symbol.asyncDispose]();
  return endpoint;
}
