import type { Endpoint } from './endpoint.ts';

/** What to look at where a server does not listen. RFC 4254 section 4 gives a refusal no reason: all that it can be is said. */
export function refusalHint(bind: Endpoint): string {
  return bind.kind === 'unix'
    ? 'A socket file of before may be in the way (remove it, or set StreamLocalBindUnlink yes in sshd_config), its folder may be missing, or AllowStreamLocalForwarding forbids it.'
    : `The port may be taken there${bind.port > 0 && bind.port < 1024 ? ', ports below 1024 are for root' : ''}, or the server forbids it (AllowTcpForwarding, PermitListen, \`permitlisten\` of the key).`;
}
