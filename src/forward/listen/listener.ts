import { lookup } from 'node:dns/promises';
import { createServer, isIP, type ListenOptions, type Server, type Socket } from 'node:net';
import {
  formatEndpoint,
  isLoopback,
  type Endpoint,
  type TcpEndpoint,
  type UnixEndpoint,
} from '../../model/endpoint.ts';
import type { TunnelError } from '../../model/failure.ts';
import type { SocketAccess } from '../../model/plan.ts';
import { bindFailure, type Refusal } from './bind-failure.ts';
import type { ForwardSockets } from './listening-sockets.ts';
import { portHolder } from './port-holder.ts';
import { clearStaleSocket, draftPath, placeSocket, removeOwnSocket } from './unix-socket.ts';

export interface ListenerOptions {
  readonly bind: Endpoint;
  /** Whose programs may connect to a Unix socket; missing: its owner's alone. */
  readonly access?: SocketAccess;
  /** Tried first where `bind` leaves the port open: the one that it had last time. */
  readonly preferredPort?: number;
  /** Whether to look for the holder of a busy port, which takes up to 0.8 s. */
  readonly nameHolder: boolean;
  /** An accepted socket, paused, with allowHalfOpen and no delay: no byte of it is read yet. The callee owns it. */
  readonly onSocket: (socket: Socket) => void;
  /**
   * Accepting failed; listening goes on. Where the process has no file descriptor left, libuv (1.46 and later) lets the
   * client go at once and tells nobody.
   */
  readonly onAcceptError: (error: NodeJS.ErrnoException) => void;
  /** What a person should know though it is no failure. */
  readonly onNote: (message: string) => void;
  /** Where sockets come from and go to that outlive this process; absent where none do. */
  readonly sockets?: ForwardSockets;
}

/** One bind address of a profile, open: one or several sockets that come and go together. */
export interface Listener {
  /** As asked for, with the port that is really bound. */
  readonly bound: Endpoint;
  /** Frees the address at once; accepted sockets live on. Safe to call twice. */
  close(): void;
}

/** What is taken from 0777: nobody needs to execute a socket. */
const UMASK: Readonly<Record<SocketAccess, number>> = { owner: 0o177, group: 0o117, everybody: 0o111 };

/** Linux takes min(this, somaxconn): room for a browser's or a pool's burst of connections in one turn. */
const BACKLOG = 1024;
/** So many ports that are free on one address and taken on the other are no accident. */
const FREE_PORT_TRIES = 16;

/** A missing address (`::1` without IPv6) may be left out where `optional`. */
export interface BindAddress {
  readonly host: string;
  readonly optional: boolean;
}

/**
 * Binds. Rejects with BIND_DENIED, BIND_IN_USE (which names the holder) or BIND_UNAVAILABLE; nothing is left bound then.
 * `localhost` is 127.0.0.1 and ::1, `*` is 0.0.0.0 and ::, a name all its addresses: all of them or none.
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { bind } = options;
  return bind.kind === 'unix' ? listenUnix(bind, options) : listenTcp(bind, options);
}

async function listenUnix(bind: UnixEndpoint, options: ListenerOptions): Promise<Listener> {
  const inherited = options.sockets?.take('unix', bind);
  const opened = inherited === undefined ? await openUnix(bind, options) : await open({ fd: inherited }, bind, options);
  if (!('server' in opened)) throw await explained(opened, options);
  const { server, shortLived = false } = opened;
  if (!shortLived) options.sockets?.opened('unix', bind, server);
  const remove = removeOwnSocket(bind.path);
  return {
    bound: bind,
    close: () => {
      server.close();
      if (options.sockets?.left !== true) remove();
    },
  };
}

/**
 * Bound under a name of its own first and then put in place: libuv removes the name that it bound when it closes, and the
 * file must outlast a supervisor that leaves it to the next.
 */
async function openUnix(bind: UnixEndpoint, options: ListenerOptions): Promise<Opened | Refusal> {
  const inWay = await clearStaleSocket(bind.path);
  if (inWay !== undefined) return refused(inWay, bind);
  const draft = draftPath(bind.path);
  if (draft === undefined) return openShortLived(bind, options);
  await clearStaleSocket(draft);
  const opened = await open({ path: draft }, bind, options);
  if (!('server' in opened)) return opened;
  const placed = placeSocket(draft, bind.path);
  if (placed === undefined) return opened;
  opened.server.close();
  return placed === 'EEXIST' ? refused('EADDRINUSE', bind) : openShortLived(bind, options);
}

async function openShortLived(bind: UnixEndpoint, options: ListenerOptions): Promise<Opened | Refusal> {
  const opened = await open({ path: bind.path }, bind, options);
  return 'server' in opened ? { ...opened, shortLived: true } : opened;
}

async function listenTcp(bind: TcpEndpoint, options: ListenerOptions): Promise<Listener> {
  const addresses = await addressesOf(bind.host).catch((error: NodeJS.ErrnoException) =>
    refused(error.code ?? '', bind, error),
  );
  if ('code' in addresses) throw bindFailure(bind, addresses);
  const preferred = bind.port === 0 ? (options.preferredPort ?? 0) : 0;
  if (preferred !== 0) {
    const kept = await bindTogether(addresses, preferred, options);
    if (!('code' in kept)) return tcpListener(bind, kept);
    const failure = await explained(kept, options);
    const listener = tcpListener(bind, await bindFree(bind, addresses, options));
    options.onNote(
      `Port ${preferred} cannot be kept, ${formatEndpoint(listener.bound)} is bound instead: ${failure.message}`,
    );
    return listener;
  }
  const servers = bind.port === 0 ? bindFree(bind, addresses, options) : bindPort(addresses, bind.port, options);
  return tcpListener(bind, await servers);
}

async function bindPort(addresses: readonly BindAddress[], port: number, options: ListenerOptions): Promise<Server[]> {
  const servers = await bindTogether(addresses, port, options);
  if ('code' in servers) throw await explained(servers, options);
  return servers;
}

/** Binds a port of the system's choice on the first address, then the same one on the others. */
async function bindFree(
  bind: Endpoint,
  addresses: readonly BindAddress[],
  options: ListenerOptions,
): Promise<Server[]> {
  for (let tries = 1; ; tries += 1) {
    const servers = await bindTogether(addresses, 0, options);
    if (!('code' in servers)) return servers;
    if (servers.code !== 'EADDRINUSE' || tries === FREE_PORT_TRIES) throw bindFailure(bind, servers);
  }
}

/** All addresses with one port, or none: half a `localhost` would lead some clients to another program. */
export async function bindTogether(
  addresses: readonly BindAddress[],
  port: number,
  options: ListenerOptions,
): Promise<Server[] | Refusal> {
  const servers: Server[] = [];
  const missing: Refusal[] = [];
  let chosen = port;
  for (const { host, optional } of addresses) {
    const at: TcpEndpoint = { kind: 'tcp', host, port: chosen };
    const inherited = options.sockets?.take('tcp', at);
    const where = inherited === undefined ? { host, port: chosen, ipv6Only: isIP(host) === 6 } : { fd: inherited };
    const opened = await open({ ...where, backlog: BACKLOG }, at, options);
    if ('server' in opened) {
      servers.push(opened.server);
      chosen = portOf(opened.server);
      options.sockets?.opened('tcp', { ...at, port: chosen }, opened.server);
    } else if (optional && (opened.code === 'EADDRNOTAVAIL' || opened.code === 'EAFNOSUPPORT')) {
      missing.push(opened);
    } else {
      for (const server of servers) server.close();
      return opened;
    }
  }
  const [first] = missing;
  if (servers.length === 0 && first !== undefined) return first;
  for (const { at } of missing) {
    if (at.kind === 'tcp') options.onNote(`${at.host} is left out: this machine does not have that address`);
  }
  return servers;
}

function tcpListener(bind: TcpEndpoint, servers: readonly Server[]): Listener {
  const [first] = servers;
  const port = first === undefined ? bind.port : portOf(first);
  return {
    bound: { ...bind, port },
    close: () => {
      for (const server of servers) server.close(); // frees the port now; its callback would wait for the connections
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

/** What a bind host stands for. Rejects as `dns.lookup` does. */
export async function addressesOf(host: string): Promise<readonly BindAddress[]> {
  if (host === 'localhost') return bothFamilies('127.0.0.1', '::1');
  if (host === '*') return bothFamilies('0.0.0.0', '::');
  if (isIP(host) !== 0) return [{ host, optional: false }];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))].map((address) => ({ host: address, optional: false }));
}

function bothFamilies(...hosts: readonly string[]): readonly BindAddress[] {
  return hosts.map((host) => ({ host, optional: true }));
}

/** `fd`: a socket that listens already. Node's types lack it. */
type Where = ListenOptions & { readonly fd?: number };

interface Opened {
  readonly server: Server;
  /** Its name goes when this process closes it, so it cannot be left to another. */
  readonly shortLived?: boolean;
}

/** One listening socket; a refusal is a value here, since the caller may have another way. */
function open(where: Where, at: Endpoint, options: ListenerOptions): Promise<Opened | Refusal> {
  // A client far away can vanish without a word: keepalive finds that out, and loopback has no need of it.
  const keepAlive = !isLoopback(at);
  const server = createServer(
    { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive, keepAliveInitialDelay: 60_000 },
    options.onSocket,
  );
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(refused(error.code ?? '', at, error));
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      server.on('error', options.onAcceptError);
      resolve({ server });
    });
    // The file of a unix socket is made in this very call: nobody else may connect even for a moment.
    const mask = where.path === undefined ? undefined : process.umask(UMASK[options.access ?? 'owner']);
    try {
      server.listen({ ...where, exclusive: true });
    } finally {
      if (mask !== undefined) process.umask(mask);
    }
  });
}

function refused(code: string, at: Endpoint, cause?: unknown): Refusal {
  return { code, at, cause };
}

async function explained(refusal: Refusal, { bind, nameHolder, sockets }: ListenerOptions): Promise<TunnelError> {
  if (refusal.code !== 'EADDRINUSE' || !nameHolder) return bindFailure(bind, refusal);
  const { at } = refusal;
  const ours = sockets?.holder(at.kind === 'unix' ? 'unix' : 'tcp', at);
  return bindFailure(bind, refusal, ours ?? (await portHolder(at)));
}
