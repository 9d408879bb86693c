import type { Socket as DatagramSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { isIP, type Server } from 'node:net';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import type { HandedSocket } from '../../model/handover.ts';
import { bindsOverlap } from '../../model/overlap.ts';
import type { Holder } from './bind-failure.ts';

type Protocol = HandedSocket['protocol'];

/** Whose a listening socket is. */
export interface SocketOwner {
  readonly tunnel: string;
  readonly forward: string;
}

/** The listening sockets as one forward sees them. */
export interface ForwardSockets {
  /** They belong to the next supervisor too: what we close lives on there, so the name of a unix socket stays. */
  readonly left: boolean;
  /** The descriptor of an inherited socket, which the caller owns from now on; undefined where none listens there. */
  take(protocol: Protocol, where: Endpoint): number | undefined;
  /** A socket listens there, until it is closed. */
  opened(protocol: Protocol, where: Endpoint, socket: Server | DatagramSocket): void;
  /** Which forward has the address; undefined where none of this process does. */
  holder(protocol: Protocol, where: Endpoint): Holder | undefined;
}

interface OpenSocket extends HandedSocket {
  readonly socket: Server | DatagramSocket;
  readonly where: Endpoint;
  readonly owner: SocketOwner;
}

/**
 * The listening sockets of a supervisor: those that one before it left to it, until a forward takes them, and its own,
 * which it may leave to the next. The kernel goes on queueing clients for a socket for as long as any process has it open.
 */
export class ListeningSockets {
  readonly #inherited: Map<string, number>;
  readonly #open = new Map<string, OpenSocket>();
  #left = false;

  constructor(inherited: readonly HandedSocket[] = []) {
    this.#inherited = new Map(inherited.map(({ protocol, at, fd }) => [keyOf(protocol, at), fd]));
  }

  /** Those that are open now, with the descriptors of this process. */
  get open(): readonly HandedSocket[] {
    return this.#living.map(({ protocol, at, fd }) => ({ protocol, at, fd }));
  }

  /** They belong to the next supervisor from now on. */
  leave(): void {
    this.#left = true;
  }

  /** As this forward sees them. */
  ownedBy(owner: SocketOwner): ForwardSockets {
    const left = (): boolean => this.#left;
    return {
      get left() {
        return left();
      },
      take: (protocol, where) => this.#take(protocol, where),
      opened: (protocol, where, socket) => this.#opened(protocol, where, socket, owner),
      holder: (protocol, where) => this.#holder(protocol, where, owner),
    };
  }

  /** Closes what nobody took: a forward that is gone from its profile must not leave clients waiting for ever. */
  closeRest(): void {
    for (const fd of this.#inherited.values()) closeSync(fd);
    this.#inherited.clear();
  }

  get #living(): readonly OpenSocket[] {
    for (const [key, { socket, fd }] of this.#open) if (descriptorOf(socket) !== fd) this.#open.delete(key); // closed
    return [...this.#open.values()];
  }

  #take(protocol: Protocol, where: Endpoint): number | undefined {
    const key = keyOf(protocol, formatEndpoint(where));
    const fd = this.#inherited.get(key);
    this.#inherited.delete(key);
    return fd;
  }

  #opened(protocol: Protocol, where: Endpoint, socket: Server | DatagramSocket, owner: SocketOwner): void {
    const at = formatEndpoint(where);
    const fd = descriptorOf(socket);
    if (fd !== undefined) this.#open.set(keyOf(protocol, at), { protocol, at, fd, socket, where, owner });
  }

  #holder(protocol: Protocol, where: Endpoint, asking: SocketOwner): Holder | undefined {
    const found = this.#living.find((one) => one.protocol === protocol && clash(one.where, where));
    if (found === undefined) return undefined;
    const { tunnel, forward } = found.owner;
    const elsewhere = where.kind === 'unix' ? 'another path' : 'another port';
    const apart = `Give one of them ${elsewhere}`;
    const hint = tunnel === asking.tunnel ? apart : `${apart}, or stop the other with \`tunnel down ${tunnel}\``;
    return { words: `held by the forward ${forward} of ${tunnel}`, hint: `${hint}.` };
  }
}

/** Each of our sockets is of one family: one at `::` leaves the IPv4 addresses to others. */
function clash(one: Endpoint, other: Endpoint): boolean {
  const families = [one, other].map((endpoint) => (endpoint.kind === 'unix' ? 0 : isIP(endpoint.host)));
  return families[0] === families[1] && bindsOverlap(one, other);
}

function keyOf(protocol: Protocol, at: string): string {
  return `${protocol} ${at}`;
}

/**
 * Node keeps the descriptor of a socket in its handle, and has no public word for it (a TCP server's handle is `_handle`, a
 * datagram socket's lies in its state). Where it cannot be found the socket is not handed over, and the next one binds anew.
 */
function descriptorOf(socket: Server | DatagramSocket): number | undefined {
  const held = '_handle' in socket && !('bind' in socket) ? socket._handle : stateOf(socket)?.handle;
  const fd = typeof held === 'object' && held !== null && 'fd' in held ? held.fd : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

function stateOf(socket: object): { readonly handle: unknown } | undefined {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol');
  const state: unknown = symbol === undefined ? undefined : Reflect.get(socket, symbol);
  return typeof state === 'object' && state !== null && 'handle' in state ? state : undefined;
}
