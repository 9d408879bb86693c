import { TunnelError } from '../model/failure.ts';
import type { MappingWay } from '../model/mapping.ts';
import type { Gateway } from './mapping-protocol.ts';

/** Why a router says no, whatever its protocol calls that. */
export type RefusalReason =
  'not-authorised' | 'no-resources' | 'conflict' | 'unsupported' | 'no-address' | 'nat-between' | 'failed';

/** RFC 6887 section 7.4. */
export function pcpReason(result: number): RefusalReason {
  switch (result) {
    case 2:
      return 'not-authorised';
    case 4:
    case 5:
    case 9:
      return 'unsupported';
    case 7:
      return 'no-address';
    case 8:
    case 10:
      return 'no-resources';
    case 11:
      return 'conflict';
    case 12:
      return 'nat-between';
    default:
      return 'failed';
  }
}

/** RFC 6886 section 3.5. */
export function natPmpReason(result: number): RefusalReason {
  switch (result) {
    case 2:
      return 'not-authorised';
    case 3:
      return 'no-address';
    case 4:
      return 'no-resources';
    case 5:
      return 'unsupported';
    default:
      return 'failed';
  }
}

/** UPnP WANIPConnection:2 section 2.5, error codes of AddPortMapping and AddAnyPortMapping. */
export function upnpReason(code: number): RefusalReason {
  switch (code) {
    case 606:
      return 'not-authorised';
    case 401:
    case 602:
      return 'unsupported';
    case 718:
    case 729:
      return 'conflict';
    case 728:
      return 'no-resources';
    default:
      return 'failed';
  }
}

const WHY: Readonly<Record<RefusalReason, readonly [why: string, hint: string]>> = {
  'not-authorised': [
    'it does not allow this machine to',
    "Allow port mappings for this machine in the router's settings.",
  ],
  'no-resources': ['it has no room for another mapping', "Remove mappings on the router's own pages, or restart it."],
  conflict: [
    'the port is taken there',
    'Ask for another port in `map`; `tunnel map` shows who has which, where the router tells.',
  ],
  unsupported: ['it does not know such mappings', 'Update the router.'],
  'no-address': [
    'it has no address that the Internet can reach',
    'Check that the router is online. Behind another router (double NAT) the outer one must forward the port too; behind a ' +
      "provider's NAT only the provider can: ask for a public IPv4 address, or lead a `remote` forward through an SSH server.",
  ],
  'nat-between': [
    'there is another NAT between this machine and it',
    'Put this machine into the network of the router itself (a virtual machine or container: bridge its network).',
  ],
  failed: ['it gave no reason that means anything', "See the router's own log."],
};

/** What was asked for, in words: `port 80 (TCP) of the router 192.168.7.1`. */
export function wishText({ externalPort, protocol }: Wish, { address }: Gateway): string {
  return `port ${externalPort} (${protocol.toUpperCase()}) of the router ${address}`;
}

interface Wish {
  readonly externalPort: number;
  readonly protocol: 'tcp' | 'udp';
}

/** A router that speaks the protocol and says no. @param code the protocol's own number, for those who look it up */
export function refused(
  reason: RefusalReason,
  wish: Wish,
  gateway: Gateway,
  { way, code }: { readonly way: MappingWay; readonly code: number },
): TunnelError {
  const [why, hint] = WHY[reason];
  const kind = reason === 'no-address' ? 'ROUTER_NOT_PUBLIC' : 'ROUTER_REFUSED';
  return new TunnelError(kind, `Cannot map ${wishText(wish, gateway)}: ${why} (${way} ${code})`, { hint });
}

/** Another mapping of ours has the port: some routers would give it to the next without a word. */
export function takenHere({ externalPort, protocol }: Wish): TunnelError {
  const wish = `port ${externalPort} (${protocol.toUpperCase()}) of the router`;
  return new TunnelError('ROUTER_REFUSED', `Cannot map ${wish}: another forward of this machine asks for it`, {
    hint: 'Ask for another port in `map`; `tunnel status` shows who has which.',
  });
}

/** Nothing at the gateway speaks this protocol. */
export function notSpoken(way: MappingWay, { address }: Gateway, why = 'no answer'): TunnelError {
  return new TunnelError('ROUTER_NOT_FOUND', `Cannot ask the router ${address} by ${way}: ${why}`);
}
