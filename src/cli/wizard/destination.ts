import { isHostName, parseEndpoint } from '../../model/endpoint.ts';
import type { HopSpec } from '../../model/profile.ts';

/**
 * Reads a server as people write it: `host`, `user@host`, `user@host:port`, `user@[v6]:port`, `ssh://user@host:port`.
 * @returns undefined where it is none of these
 */
export function parseDestination(text: string): HopSpec | undefined {
  const plain = text.replace(/^ssh:\/\//i, '').replace(/\/$/, '');
  const at = plain.lastIndexOf('@'); // as ssh(1): a user name may hold an @ of its own
  const user = at < 0 ? undefined : plain.slice(0, at);
  if (user !== undefined && !isUserName(user)) return undefined;
  const place = parsePlace(plain.slice(at + 1));
  return place === undefined ? undefined : { ...place, ...(user === undefined ? {} : { user }) };
}

/** `user@host:port`, the form that a profile's `via` reads; undefined parts are left out. */
export function formatDestination({ host, user, port }: HopSpec): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return `${user === undefined ? '' : `${user}@`}${name}${port === undefined ? '' : `:${port}`}`;
}

function parsePlace(text: string): Pick<HopSpec, 'host' | 'port'> | undefined {
  const bare = /^\[(.+)\]$/.exec(text)?.[1] ?? text;
  if (isHostName(bare)) return { host: bare };
  const endpoint = parseEndpoint(text);
  if (endpoint?.kind !== 'tcp' || endpoint.port === 0 || endpoint.host === '*') return undefined;
  return { host: endpoint.host, port: endpoint.port };
}

/** As OpenSSH's valid_ruser: nothing that another program could take for an option or a shell's sign. */
function isUserName(text: string): boolean {
  return text !== '' && !text.startsWith('-') && !/[\s'"`$\\<>|&;(){}\0-\x1f\x7f]/.test(text);
}
