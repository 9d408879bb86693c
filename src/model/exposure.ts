import { isLoopback, type Endpoint } from './endpoint.ts';
import type { ForwardKind } from './status.ts';

/** A listener that others than the programs of its own machine can reach. JSON-safe. */
export interface Exposure {
  /** Whose addresses it is open at: this machine's, or the SSH server's. */
  readonly machine: 'here' | 'server';
  /** Client addresses in CIDR form; null is everybody who can reach that machine. */
  readonly allow: readonly string[] | null;
}

/** Who can reach a forward from elsewhere; undefined where nobody can. */
export function exposureOf(forward: {
  readonly kind: ForwardKind;
  readonly bind: Endpoint;
  readonly allow?: readonly string[] | null | undefined;
}): Exposure | undefined {
  const { kind, bind, allow = null } = forward;
  if (isLoopback(bind)) return undefined;
  return { machine: kind === 'remote' || kind === 'remote-socks' ? 'server' : 'here', allow };
}

/** `open to 192.168.0.0/16`, `open to everybody who can reach this machine`. */
export function exposureText({ machine, allow }: Exposure): string {
  if (allow !== null && allow.length > 0) return `open to ${allow.join(', ')}`;
  if (allow !== null) return 'open to nobody: its `allow` list is empty';
  return `open to everybody who can reach ${machine === 'here' ? 'this machine' : 'the server'}`;
}
