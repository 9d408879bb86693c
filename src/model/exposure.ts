import { isLoopback, type Endpoint } from './endpoint.ts';
import type { Exposure, ForwardKind } from './status.ts';

/** An address that a forward listens at, or has the server listen at. */
export interface Door {
  readonly bind: Endpoint;
  readonly exposure: Exposure;
}

/** Every door of a forward that can be reached from elsewhere: its own, and the return ports of a trigger. */
export function doorsOf(forward: ExposedForward): readonly Door[] {
  const exposure = exposureOf(forward);
  const own = exposure === undefined ? [] : [{ bind: forward.bind, exposure }];
  return [...own, ...returnDoors(forward)];
}

/** The return ports of a trigger that can be reached from elsewhere. */
export function returnDoors({ opens = [] }: Pick<ExposedForward, 'opens'>): readonly Door[] {
  return opens
    .filter(({ bind }) => !isLoopback(bind))
    .map(({ bind, allow = null }) => ({ bind, exposure: { machine: 'server', allow, triggered: true } }));
}

interface ExposedForward {
  readonly kind: ForwardKind;
  readonly bind: Endpoint;
  readonly allow?: readonly string[] | null | undefined;
  readonly opens?: readonly Pick<ExposedForward, 'bind' | 'allow'>[];
  /** Of a relay. */
  readonly protocol?: 'tcp' | 'udp' | undefined;
  readonly map?: { readonly port: number; readonly protocol?: 'tcp' | 'udp' | undefined } | undefined;
}

/** Who can reach a forward from elsewhere; undefined where nobody can. */
export function exposureOf(forward: ExposedForward): Exposure | undefined {
  const { kind, bind, allow = null, protocol = 'tcp', map } = forward;
  if (isLoopback(bind)) return undefined;
  const asked = map === undefined ? {} : { map: { port: map.port, protocol: map.protocol ?? protocol } };
  return { machine: kind === 'remote' || kind === 'remote-socks' ? 'server' : 'here', allow, ...asked };
}

/** `open to 192.168.0.0/16`, `open to everybody who can reach this machine`. */
export function exposureText(exposure: Exposure): string {
  const { map } = exposure;
  const doors = whoText(exposure);
  if (map === undefined) return doors;
  return `${doors}, from the Internet too by port ${map.port} (${map.protocol.toUpperCase()}) of the router`;
}

function whoText({ machine, allow, triggered }: Exposure): string {
  const when = triggered === true ? ', while the trigger is in use' : '';
  if (allow !== null && allow.length > 0) return `open to ${allow.join(', ')}${when}`;
  if (allow !== null) return 'open to nobody: its `allow` list is empty';
  return `open to everybody who can reach ${machine === 'here' ? 'this machine' : 'the server'}${when}`;
}
