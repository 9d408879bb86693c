import { TunnelError } from '../../model/failure.ts';
import {
  parseDynamicForward,
  parseLocalForward,
  parseRemoteForward,
  type ForwardSpec,
  type LocalSpec,
  type RemoteSocksSpec,
  type RemoteSpec,
  type SocksSpec,
} from '../../model/forward-spec.ts';
import type { HopSpec, Profile } from '../../model/profile.ts';
import { parseHop } from '../../model/hop-spec.ts';

/** What an ssh line has said so far. Who reads the line writes here; the first value of each wins, as in ssh(1). */
export interface Draft {
  /** The last hop, but its host. */
  server: Mutable<Omit<HopSpec, 'host'>>;
  jumps: HopSpec[];
  sshConfig?: string;
  forwards: ForwardSpec[];
  /** -g: ports are open to other machines. */
  everywhere?: boolean;
  keepalive: Mutable<NonNullable<Profile['keepalive']>>;
  timeouts: Mutable<NonNullable<Profile['timeouts']>>;
  warnings: string[];
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** @throws USAGE where it is not in the grammar of `ssh -L` */
export function localForward(value: string): LocalSpec {
  const forward = parseLocalForward(value);
  if (forward === undefined) throw unreadable(`-L ${value} is not [bind:]port:host:port`);
  return forward;
}

/** @throws USAGE where it is not in the grammar of `ssh -D` */
export function dynamicForward(value: string): SocksSpec {
  const forward = parseDynamicForward(value);
  if (forward === undefined) throw unreadable(`-D ${value} is not [bind:]port`);
  return forward;
}

/** @throws USAGE where it is not in the grammar of `ssh -R` */
export function remoteForward(value: string): RemoteSpec | RemoteSocksSpec {
  const forward = parseRemoteForward(value);
  if (forward === undefined) throw unreadable(`-R ${value} is not [bind:]port or [bind:]port:host:port`);
  return forward;
}

/** Reads the value of -J. @throws USAGE */
export function jumpHosts(value: string): HopSpec[] {
  if (value.toLowerCase() === 'none') return [];
  return value.split(',').map((text) => {
    const hop = parseHop(text.trim());
    if (hop === undefined) throw unreadable(`${text} is no jump host`);
    return hop;
  });
}

/** @throws USAGE where it is not 1 to 65535 */
export function portOf(value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (port < 1 || port > 65_535) throw unreadable(`${value} is no port`);
  return port;
}

export function unreadable(why: string): TunnelError {
  return new TunnelError('USAGE', `Cannot read the ssh line: ${why}`);
}
