import { addressScope } from '../model/address-scope.ts';
import { TunnelError } from '../model/failure.ts';

/**
 * Why the Internet cannot reach a router's own address, and what to do; null where it can. A router behind a router grants
 * mappings like any other: only its address shows that they lead nowhere.
 */
export function doubleNat(host: string, router: string): TunnelError | null {
  switch (addressScope(host)) {
    case 'public':
      return null;
    case 'private':
      return new TunnelError(
        'ROUTER_NOT_PUBLIC',
        `Cannot be reached from the Internet: the router ${router} has a private address itself, ${host} (double NAT)`,
        {
          hint: `Have the outer router forward the port to ${host}, or join both networks (bridge mode of one of the routers).`,
        },
      );
    case 'carrier':
      return new TunnelError(
        'ROUTER_NOT_PUBLIC',
        `Cannot be reached from the Internet: the router ${router} shares the provider's address with others, ${host} (carrier-grade NAT)`,
        {
          hint: 'Only the provider can change that: ask for a public IPv4 address, or lead a `remote` forward through an SSH server that has one.',
        },
      );
  }
}
