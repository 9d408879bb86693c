import { isIP } from 'node:net';

/** Where something listens or is reached. An IPv6 literal is held without its brackets. */
export type Endpoint = TcpEndpoint | UnixEndpoint;
export interface TcpEndpoint {
  readonly kind: 'tcp';
  /** A name or an address literal; '*' is every address, as OpenSSH writes it. */
  readonly host: string;
  /** 0 to 65535; 0 as a bind port means "choose a free one". */
  readonly port: number;
}
export interface UnixEndpoint {
  readonly kind: 'unix';
  readonly path: string;
}

/** `host:port`, `[v6]:port` or `unix:/path`: the form that `parseEndpoint` reads back. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.path}`;
  const { host, port } = endpoint;
  return host.includes(':') && isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Reads `host:port`, `[v6]:port`, `port`, `*:port`, `unix:/path`, and `auto` for port 0.
 * @param defaultHost the host of a bare `port`
 * @returns undefined where the text is none of these
 */
export function parseEndpoint(text: string, defaultHost = 'localhost'): Endpoint | undefined {
  if (text.startsWith('unix:')) return unixEndpoint(text.slice('unix:'.length));
  const match = /^(?:\[([^[\]]+)\]:|([^:[\]\s]*):)?(\d{1,5}|auto)$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, portText = ''] = match;
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
  if (plain !== undefined && plain !== '*' && plain !== '' && !isHostName(plain)) return undefined;
  const port = portText === 'auto' ? 0 : Number(portText);
  if (port > 65_535) return undefined;
  return { kind: 'tcp', host: bracketed ?? (plain === undefined ? defaultHost : plain === '' ? '*' : plain), port };
}

/** A name that can stand on a command line of another program: no option, no shell sign, no control character. */
export function isHostName(text: string): boolean {
  return isIP(text) !== 0 || /^[\p{L}\p{N}_](?:[\p{L}\p{N}._-]{0,252}[\p{L}\p{N}_.])?$/u.test(text);
}

/** True for what only programs on this machine can reach. */
export function isLoopback(endpoint: Endpoint): boolean {
  if (endpoint.kind === 'unix') return true;
  const host = endpoint.host.toLowerCase();
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function unixEndpoint(path: string): UnixEndpoint | undefined {
  return path === '' || path.includes('\0') ? undefined : { kind: 'unix', path };
}
