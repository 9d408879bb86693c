import { lookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import { TunnelError } from '../model/failure.ts';
import { PooledReads } from './data/pooled-reads.ts';
import type { ReadPool } from './data/read-pool.ts';

export interface SocketTarget {
  readonly host: string;
  readonly port: number;
  readonly addressFamily: 'any' | 'inet' | 'inet6';
  /** Name or address to dial from; null lets the system choose. */
  readonly bindAddress: string | null;
}

export interface SocketOptions {
  /** The system's, unless a test has another. */
  readonly resolver?: Resolver;
  /** The socket reads into memory of this pool, and has `pooledReadsOf`. It emits 'data', and cannot be read in another way. */
  readonly pool?: ReadPool;
  /** The addresses are known, and the first is being connected to. */
  readonly onResolved?: () => void;
}

interface Address {
  readonly address: string;
  readonly family: number;
}
type Resolver = (host: string, family: 0 | 4 | 6) => Promise<readonly Address[]>;
const lookupAll: Resolver = (host, family) => lookup(host, { all: true, family, order: 'verbatim' });

type Attempt = Address & { readonly localAddress: string | undefined };

/** RFC 8305 section 8: 250 ms between attempts. */
const ATTEMPT_DELAY_MS = 250;
/** TCP's own probes notice a dead peer where nobody sends; liveness proper is judged above, by bytes seen. */
const TCP_KEEPALIVE_MS = 30_000;

/**
 * Connects to the host by whichever address answers first: both families in turn, the next one after 250 ms or a
 * failure, and none given up before another has won (Node's own race drops each after 250 ms, which a slow path never
 * meets). Rejects with NAME_UNRESOLVED, CONNECT_REFUSED, CONNECT_TIMEOUT or UNREACHABLE, or the signal's reason; no
 * socket is left over then. Without Nagle's algorithm, which costs 44 ms for each new channel.
 * @param name what messages call the host
 */
export async function dialSocket(
  target: SocketTarget,
  name: string,
  signal: AbortSignal,
  { resolver = lookupAll, pool, onResolved }: SocketOptions = {},
): Promise<Socket> {
  const attempts = await plannedAttempts(target, name, signal, resolver);
  signal.throwIfAborted();
  onResolved?.();
  return race(attempts, { port: target.port, name, signal, pool });
}

/** Addresses in the order to try: families in turn, the resolver's favourite first (RFC 8305 section 4). */
export function interleave<T extends { readonly family: number }>(addresses: readonly T[]): T[] {
  const first = addresses[0]?.family;
  const favoured = addresses.filter((one) => one.family === first);
  const others = addresses.filter((one) => one.family !== first);
  return favoured
    .flatMap((one, index) => {
      const other = others[index];
      return other === undefined ? [one] : [one, other];
    })
    .concat(others.slice(favoured.length));
}

async function plannedAttempts(
  target: SocketTarget,
  name: string,
  signal: AbortSignal,
  resolver: Resolver,
): Promise<Attempt[]> {
  const family = FAMILIES[target.addressFamily];
  const resolve = (host: string): Promise<readonly Address[]> => addressesOf(host, family, name, signal, resolver);
  const found = await resolve(target.host);
  // An address is its own answer, of whatever kind was asked for (getaddrinfo(3) refuses it there).
  const addresses = interleave(found.filter((one) => family === 0 || one.family === family));
  if (addresses.length === 0) throw unresolved(name, `${target.host} is no ${kindOf(family)}address`);
  if (target.bindAddress === null) return addresses.map((one) => ({ ...one, localAddress: undefined }));
  const locals = await resolve(target.bindAddress);
  const attempts = addresses.flatMap((one) => {
    const local = locals.find((candidate) => candidate.family === one.family);
    return local === undefined ? [] : [{ ...one, localAddress: local.address }];
  });
  if (attempts.length > 0) return attempts;
  throw new TunnelError(
    'UNREACHABLE',
    `Cannot connect to ${name}: it has no address of the kind of ${target.bindAddress}`,
    {
      hint: 'Choose another bindAddress, or none.',
    },
  );
}

const FAMILIES = { any: 0, inet: 4, inet6: 6 } as const;

async function addressesOf(
  host: string,
  family: 0 | 4 | 6,
  name: string,
  signal: AbortSignal,
  resolver: Resolver,
): Promise<readonly Address[]> {
  try {
    return await unlessAborted(resolver(host, family), signal);
  } catch (error) {
    signal.throwIfAborted();
    const code = codeOf(error);
    if (code === 'EAI_AGAIN') throw unresolved(name, 'the DNS does not answer', error);
    throw unresolved(name, `there is no ${kindOf(family)}address for ${host}`, error);
  }
}

function kindOf(family: 0 | 4 | 6): string {
  return family === 0 ? '' : `IPv${family} `;
}

function unresolved(name: string, why: string, cause?: unknown): TunnelError {
  return new TunnelError('NAME_UNRESOLVED', `Cannot connect to ${name}: ${why}`, { cause });
}

/** A lookup cannot be called off; its answer is left alone when nobody waits for it any more. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolvePromise, reject) => {
    const abort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('Aborted'));
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolvePromise, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

interface Race {
  readonly port: number;
  readonly name: string;
  readonly signal: AbortSignal;
  readonly pool: ReadPool | undefined;
}

function race(attempts: readonly Attempt[], { port, name, signal, pool }: Race): Promise<Socket> {
  return new Promise((resolvePromise, reject) => {
    const waiting = [...attempts];
    const open = new Set<Socket>();
    const errors: { address: string; error: unknown }[] = [];
    let timer: NodeJS.Timeout | undefined;

    const settle = (winner?: Socket): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      for (const socket of open) if (socket !== winner) socket.destroy();
      open.clear();
    };
    const abort = (): void => {
      settle();
      reject(signal.reason instanceof Error ? signal.reason : new Error('Aborted'));
    };
    const next = (): void => {
      clearTimeout(timer);
      const attempt = waiting.shift();
      if (attempt !== undefined) start(attempt);
      if (waiting.length > 0) timer = setTimeout(next, ATTEMPT_DELAY_MS);
      if (attempt === undefined && open.size === 0) {
        settle();
        reject(connectFailure(name, port, errors));
      }
    };
    const start = ({ address, localAddress }: Attempt): void => {
      const reads = pool === undefined ? undefined : new PooledReads(pool);
      const socket = connect({
        host: address,
        port,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEPALIVE_MS,
        ...(localAddress === undefined ? {} : { localAddress }),
        ...(reads === undefined ? {} : { onread: reads.onread }),
      });
      reads?.serve(socket);
      open.add(socket);
      socket.once('connect', () => {
        socket.removeListener('error', failed);
        settle(socket);
        resolvePromise(socket);
      });
      const failed = (error: Error): void => {
        open.delete(socket);
        errors.push({ address, error });
        next();
      };
      socket.once('error', failed);
      socket.on('error', () => undefined); // stays for ever: a loser may still report while it is destroyed
    };

    signal.addEventListener('abort', abort, { once: true });
    next();
  });
}

/** The most telling of several failures decides the code; the message names them all. */
function connectFailure(
  name: string,
  port: number,
  errors: readonly { address: string; error: unknown }[],
): TunnelError {
  const told = errors.map(({ address, error }) => ({ address, cause: error, ...explained(codeOf(error)) }));
  const rank = ['CONNECT_REFUSED', 'CONNECT_TIMEOUT', 'UNREACHABLE'] as const;
  const code = rank.find((candidate) => told.some((one) => one.code === candidate)) ?? 'UNREACHABLE';
  const reasons = [...new Set(told.map((one) => one.why))];
  const only = reasons.length === 1 ? reasons[0] : undefined;
  const addresses = told.map((one) => `${one.address} port ${port}${only === undefined ? `: ${one.why}` : ''}`);
  const why = only === undefined ? addresses.join('; ') : `${only} (${addresses.join(', ')})`;
  const local = told.some((one) => codeOf(one.cause) === 'EADDRNOTAVAIL');
  return new TunnelError(code, `Cannot connect to ${name}: ${why}`, {
    cause: told[0]?.cause,
    ...(local ? { hint: 'Check bindAddress: this machine must have that address.' } : {}),
  });
}

function explained(code: string): { code: 'CONNECT_REFUSED' | 'CONNECT_TIMEOUT' | 'UNREACHABLE'; why: string } {
  switch (code) {
    case 'ECONNREFUSED':
      return { code: 'CONNECT_REFUSED', why: 'connection refused' };
    case 'ECONNRESET':
      return { code: 'CONNECT_REFUSED', why: 'connection reset' };
    case 'ETIMEDOUT':
      return { code: 'CONNECT_TIMEOUT', why: 'no answer' };
    case 'EHOSTUNREACH':
      return { code: 'UNREACHABLE', why: 'no route to the host' };
    case 'ENETUNREACH':
      return { code: 'UNREACHABLE', why: 'the network is unreachable' };
    case 'EADDRNOTAVAIL':
      return { code: 'UNREACHABLE', why: 'the local address is not available' };
    case 'EACCES':
    case 'EPERM':
      return { code: 'UNREACHABLE', why: 'this machine does not permit it' };
    default:
      return { code: 'UNREACHABLE', why: code === '' ? 'it failed' : `it failed with ${code}` };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
