import type { Socket as DatagramSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import type { Server } from 'node:net';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import type { HandedSocket } from '../../model/handover.ts';

type Protocol = HandedSocket['protocol'];

/**
 * The listening sockets of a supervisor: those that one before it left to it, until a forward takes them, and its own,
 * which it may leave to the next. The kernel goes on queueing clients for a socket for as long as any process has it open.
 */
export class ListeningSockets {
  readonly #inherited: Map<string, number>;
  readonly #open = new Map<string, HandedSocket & { readonly socket: Server | DatagramSocket }>();
  #left = false;

  constructor(inherited: readonly HandedSocket[] = []) {
    this.#inherited = new Map(inherited.map(({ protocol, at, fd }) => [keyOf(protocol, at), fd]));
  }

  /** Those that are open now, with the descriptors of this process. */
  get open(): readonly HandedSocket[] {
    for (const [key, { socket, fd }] of this.#open) if (descriptorOf(socket) !== fd) this.#open.delete(key); // closed
    return [...this.#open.values()].map(({ protocol, at, fd }) => ({ protocol, at, fd }));
  }

  /** They belong to the next supervisor too: what we close lives on there, so the name of a unix socket stays. */
  get left(): boolean {
    return this.#left;
  }

  leave(): void {
    this.#left = true;
  }

  /** The descriptor of an inherited socket, which the caller owns from now on; undefined where none listens there. */
  take(protocol: Protocol, where: Endpoint): number | undefined {
    const key = keyOf(protocol, formatEndpoint(where));
    const fd = this.#inherited.get(key);
    this.#inherited.delete(key);
    return fd;
  }

  /** A socket listens there, until it is closed. */
  opened(protocol: Protocol, where: Endpoint, socket: Server | DatagramSocket): void {
    const at = formatEndpoint(where);
    const fd = descriptorOf(socket);
    if (fd !== undefined) this.#open.set(keyOf(protocol, at), { protocol, at, fd, socket });
  }

  /** Closes what nobody took: a forward that is gone from its profile must not leave clients waiting for ever. */
  closeRest(): void {
    for (const fd of this.#inherited.values()) closeSync(fd);
    this.#inherited.clear();
  }
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
