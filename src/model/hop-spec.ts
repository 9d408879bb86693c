import { isIP } from 'node:net';
import { isHostName } from './endpoint.ts';
import type { HopSpec } from './profile.ts';

/** No option, and no sign that a shell would act on: as valid_ruser in OpenSSH's ssh.c has it; no colon, which parts port and password. */
const USER = /^(?!-)[^\s\0-\x1f\x7f'"`$\\;&<>|(){}:]+$/;

/**
 * Reads a server as `ssh` and ProxyJump take it: `[user@]host[:port]`, `[user@][v6]:port`, a bare IPv6 literal, and
 * the same behind `ssh://`. The user may hold an @: the last one counts.
 * @returns undefined where it is none of these
 */
export function parseHop(text: string): HopSpec | undefined {
  const bare = text
    .trim()
    .replace(/^ssh:\/\//, '')
    .replace(/\/$/, '');
  const at = bare.lastIndexOf('@');
  const user = at < 0 ? undefined : bare.slice(0, at);
  const place = placeOf(bare.slice(at + 1));
  if (place === undefined || (user !== undefined && !USER.test(user))) return undefined;
  return { ...place, ...(user === undefined ? {} : { user }) };
}

/** `user@host:port` with only what was given: the form that `parseHop` reads back. */
export function formatHop(hop: Pick<HopSpec, 'host' | 'port' | 'user'>): string {
  const user = hop.user === undefined ? '' : `${hop.user}@`;
  if (hop.port === undefined) return `${user}${hop.host}`;
  return `${user}${isIP(hop.host) === 6 ? `[${hop.host}]` : hop.host}:${hop.port}`;
}

/** True for what may stand as a user name in a command or a via entry. */
export function isUserName(text: string): boolean {
  return USER.test(text);
}

function placeOf(text: string): Pick<HopSpec, 'host' | 'port'> | undefined {
  if (isIP(text) === 6) return { host: text };
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  if (!isHostName(host) || (match?.[1] !== undefined && isIP(host) !== 6)) return undefined;
  if (match?.[3] === undefined) return { host };
  const port = Number(match[3]);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}
