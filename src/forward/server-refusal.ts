import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import { TunnelError } from '../model/failure.ts';
import { refusalHint } from '../model/refusal-hint.ts';

/** The server did not want to listen from the first. */
export function firstRefusal(bind: Endpoint, cause: TunnelError): TunnelError {
  const hint = `${refusalHint(bind)} Then run \`tunnel restart\`.`;
  return new TunnelError('FORWARD_REFUSED', cause.message, { cause, hint });
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
