import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { TunnelError } from '../model/failure.ts';

/**
 * The server did not want to listen from the first. RFC 4254 section 4 gives a refusal no reason: all that it can be is said.
 */
export function firstRefusal(bind: Endpoint, cause: TunnelError): TunnelError {
  const hint =
    bind.kind === 'unix'
      ? 'A socket file of before may be in the way (remove it, or set StreamLocalBindUnlink yes in sshd_config), its folder may be missing, or AllowStreamLocalForwarding forbids it.'
      : `The port may be taken there${bind.port > 0 && bind.port < 1024 ? ', ports below 1024 are for root' : ''}, or the server forbids it (AllowTcpForwarding, PermitListen).`;
  return new TunnelError('FORWARD_REFUSED', cause.message, { cause, hint: `${hint} Then run \`tunnel restart\`.` });
}

/** It listened before: most likely it still does, for the connection that was lost. */
export function staleListener(bind: Endpoint, cause: TunnelError): TunnelError {
  const message = `Cannot listen again on ${formatEndpoint(bind)} of the server: it refused`;
  const hint =
    bind.kind === 'unix'
      ? 'The socket file of the lost connection is in the way: set StreamLocalBindUnlink yes in sshd_config, or remove the file. Tried again meanwhile.'
      : 'The server may still listen for the connection that was lost, until it notices: ClientAliveInterval in sshd_config makes that quick. Tried again meanwhile.';
  return new TunnelError('FORWARD_REFUSED', message, { cause, hint });
}
