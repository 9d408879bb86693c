import { parseEndpoint, type Endpoint } from './endpoint.ts';
import type { ClientRule, Expectation, SocketAccess } from './plan.ts';

/** A forward as a profile or a command line says it: what is left out is undefined, and `plan/resolve.ts` fills it. */
export type ForwardSpec = LocalSpec | RemoteSpec | SocksSpec | RemoteSocksSpec | TriggerSpec | RelaySpec;

/** What every kind may say besides. */
interface CommonSpec {
  readonly name?: string | undefined;
  readonly open?: 'always' | 'on-demand' | undefined;
  readonly idleMs?: number | undefined;
  /** null: for ever. */
  readonly lifetimeMs?: number | null | undefined;
  readonly clients?: ClientRule | undefined;
  /** CIDR form. */
  readonly allow?: readonly string[] | undefined;
  readonly gateway?: boolean | undefined;
  readonly access?: SocketAccess | undefined;
  readonly expect?: Expectation | undefined;
  /** Without a protocol it is that of the forward. */
  readonly map?: { readonly port: number; readonly protocol?: 'tcp' | 'udp' | undefined } | undefined;
}

export interface LocalSpec extends CommonSpec {
  readonly kind: 'local';
  readonly bind: Endpoint;
  readonly target: Endpoint;
}

export interface RemoteSpec extends CommonSpec {
  readonly kind: 'remote';
  readonly bind: Endpoint;
  readonly target: Endpoint;
}

export interface SocksSpec extends CommonSpec {
  readonly kind: 'socks';
  readonly bind: Endpoint;
  /** Clients must log in by this name, with the password kept as a secret. */
  readonly auth?: string | undefined;
  /** Whom `expect` asks: clients of a proxy name their own targets. */
  readonly expectAt?: Endpoint | undefined;
}

export interface RemoteSocksSpec extends CommonSpec {
  readonly kind: 'remote-socks';
  readonly bind: Endpoint;
  readonly auth?: string | undefined;
  readonly expectAt?: Endpoint | undefined;
}

export interface TriggerSpec extends CommonSpec {
  readonly kind: 'trigger';
  readonly bind: Endpoint;
  readonly target: Endpoint;
  /** Return ports: the server listens on `bind`, connections go to `port` of the client that triggered. */
  readonly opens: readonly ReturnPortSpec[];
}

export interface ReturnPortSpec {
  readonly bind: Endpoint;
  readonly clientPort: number;
  /** Of callers, in CIDR form. */
  readonly allow?: readonly string[] | undefined;
}

export interface RelaySpec extends CommonSpec {
  readonly kind: 'relay';
  readonly bind: Endpoint;
  readonly protocol?: 'tcp' | 'udp' | undefined;
  readonly targets: readonly Endpoint[];
  readonly choose?: 'failover' | 'round-robin' | undefined;
  readonly proxyProtocol?: 'v1' | 'v2' | undefined;
}

/** What `map` asks the router to lead: what it says, else what the forward itself is of. */
export function mapProtocol(forward: ForwardSpec): 'tcp' | 'udp' {
  return forward.map?.protocol ?? (forward.kind === 'relay' ? forward.protocol : undefined) ?? 'tcp';
}

/** A target is somebody's address: no wildcard, no free port. */
export function parseTarget(text: string): Endpoint | undefined {
  const endpoint = /^(?:\d+|auto)$/.test(text) ? undefined : parseEndpoint(text);
  if (endpoint?.kind === 'tcp' && (endpoint.port === 0 || endpoint.host === '*')) return undefined;
  return endpoint;
}

/**
 * Reads a local forward in a line: `bind -> target`, or the grammar of `ssh -L`: `[bind:]port:host:hostport`,
 * `[bind:]port:/remote.sock`, `/local.sock:host:hostport`, `/local.sock:/remote.sock` (a path may begin with `unix:`).
 * @returns undefined where the text is neither
 */
export function parseLocalForward(text: string): LocalSpec | undefined {
  const ends = splitEnds(text.trim());
  return ends === undefined ? undefined : { kind: 'local', ...ends };
}

/** Reads the grammar of `ssh -R`: as `-L` with the server listening; `[bind:]port` alone is a SOCKS proxy on the server. */
export function parseRemoteForward(text: string): RemoteSpec | RemoteSocksSpec | undefined {
  const ends = splitEnds(text.trim());
  if (ends !== undefined) return { kind: 'remote', ...ends };
  const bind = parseEndpoint(text.trim());
  return bind?.kind === 'tcp' ? { kind: 'remote-socks', bind } : undefined;
}

/** Reads the grammar of `ssh -D`: `[bind:]port`. */
export function parseDynamicForward(text: string): SocksSpec | undefined {
  const bind = parseEndpoint(text.trim());
  return bind?.kind === 'tcp' ? { kind: 'socks', bind } : undefined;
}

interface Ends {
  readonly bind: Endpoint;
  readonly target: Endpoint;
}

function splitEnds(text: string): Ends | undefined {
  const arrow = /^(.*?\S)\s*->\s*(\S.*)$/.exec(text);
  return arrow === null ? splitColons(text) : ends(parseEndpoint(arrow[1] ?? ''), parseTarget(arrow[2] ?? ''));
}

function splitColons(text: string): Ends | undefined {
  const parts = colonParts(text);
  const first = parts?.[0];
  if (parts === undefined || first === undefined) return undefined;
  const ending = isPath(parts.at(-1)) ? parts.length - 1 : parts.length - 2; // where the target begins
  const taken = isPath(first) ? 1 : Math.max(1, ending);
  return ends(bindOf(parts.slice(0, taken)), targetOf(parts.slice(taken)));
}

/** `-L` with an explicit empty bind address means every address (ssh(1)); without one it means localhost. */
function bindOf(parts: readonly string[]): Endpoint | undefined {
  const [first = '', port] = parts;
  if (isPath(first)) return { kind: 'unix', path: first };
  return port === undefined ? parseEndpoint(first) : parseEndpoint(`${first}:${port}`);
}

function targetOf(parts: readonly string[]): Endpoint | undefined {
  const [first = '', port, ...rest] = parts;
  if (port === undefined) return isPath(first) ? { kind: 'unix', path: first } : undefined;
  return rest.length > 0 || first === '' ? undefined : parseTarget(`${first}:${port}`);
}

/** Parts between colons; those within brackets do not split, and a `unix:` before a path is part of neither. */
function colonParts(text: string): string[] | undefined {
  const bare = text.replace(/(^|:)unix:(?=\/)/g, '$1');
  const pieces = bare.match(/\[[^[\]]*\]|[^:[\]]+|:/g) ?? [];
  if (pieces.join('') !== bare) return undefined; // a bracket that closes nothing
  const parts = [''];
  for (const piece of pieces) {
    if (piece === ':') parts.push('');
    else parts[parts.length - 1] += piece;
  }
  return parts.length <= 4 ? parts : undefined;
}

function isPath(text: string | undefined): boolean {
  return text?.startsWith('/') === true;
}

function ends(bind: Endpoint | undefined, target: Endpoint | undefined): Ends | undefined {
  return bind === undefined || target === undefined ? undefined : { bind, target };
}

/** The port of `client:7078`: the target of a trigger's return port. */
export function parseClientPort(text: string): number | undefined {
  const endpoint = parseEndpoint(text);
  return endpoint?.kind === 'tcp' && endpoint.host === 'client' && endpoint.port > 0 ? endpoint.port : undefined;
}
