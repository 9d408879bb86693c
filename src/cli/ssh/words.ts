import { isIP } from 'node:net';
import { cleanLine } from '../../model/clean.ts';
import type { TunnelError } from '../../model/failure.ts';
import { LoginRefusal } from '../../model/login-refusal.ts';
import type { ForwardPlan, HopPlan } from '../../model/plan.ts';

/** What ssh itself prints where this happens: scripts look for these words. */
export function sshWords(error: TunnelError, hops: readonly HopPlan[]): readonly string[] {
  const hop = hops.at(-1);
  const host = hop?.host ?? '';
  const connect = `ssh: connect to host ${hops[0]?.host ?? ''} port ${hops[0]?.port ?? 22}`;
  const why = cleanLine(error.message);
  switch (error.code) {
    case 'HOST_KEY_UNKNOWN':
    case 'HOST_KEY_CHANGED':
    case 'HOST_KEY_REVOKED':
      return [why, error.hint, 'Host key verification failed.'].filter((line) => line !== '');
    case 'LOGIN_REFUSED':
    case 'NEEDS_PERSON':
      return [why, denied(error, hop)];
    case 'CONNECT_REFUSED':
      if (hops[0]?.proxyCommand !== null) return [why, 'Connection closed by UNKNOWN port 65535'];
      return hops.length > 1 ? [why] : [`${connect}: Connection refused`];
    case 'CONNECT_TIMEOUT':
      return [`${connect}: Connection timed out`];
    case 'UNREACHABLE':
      return [why, `${connect}: ${unreachable(error)}`];
    case 'NAME_UNRESOLVED':
      return [`ssh: Could not resolve hostname ${hops[0]?.host ?? ''}: ${unresolved(error, hops[0])}`];
    case 'CONNECTION_LOST':
      return [why, `Connection to ${host} closed by remote host.`];
    case 'KEEPALIVE_TIMEOUT':
      return [`Timeout, server ${host} not responding.`];
    default:
      return [why];
  }
}

/** As strerror(3) has it; `failure` is what ssh says where it did not get so far (sshconnect.c). */
function unreachable({ cause }: TunnelError): string {
  const code = codeOf(cause);
  if (code === 'EHOSTUNREACH') return 'No route to host';
  return code === 'ENETUNREACH' ? 'Network is unreachable' : 'failure';
}

/** As gai_strerror(3) has it. An address of the kind that AddressFamily does not want is known, and of no use (getaddrinfo(3)). */
function unresolved({ cause }: TunnelError, hop: HopPlan | undefined): string {
  if (codeOf(cause) === 'EAI_AGAIN') return 'Temporary failure in name resolution';
  return isIP(hop?.host ?? '') === 0 ? 'Name or service not known' : 'Address family for hostname not supported';
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && 'code' in cause ? cause.code : '';
}

/** By the host of the way that refused; ssh ends its words with what that one would still take (sshconnect2.c, userauth). */
function denied({ cause }: TunnelError, server: HopPlan | undefined): string {
  const said = cause instanceof LoginRefusal ? cause : undefined;
  const { user = '', host = '' } = said ?? server ?? {};
  const methods = said?.methods === undefined ? '' : ` (${cleanLine(said.methods.join(','), 200)})`;
  return `${user}@${host}: Permission denied${methods}.`;
}

/** As channel_setup_fwd_listener in OpenSSH's channels.c: the address, then the port, then the kind. */
export function forwardWords(error: TunnelError, { bind }: Pick<ForwardPlan, 'bind'>): readonly string[] {
  const where = bind.kind === 'tcp' ? String(bind.port) : bind.path;
  const local = `Could not request local forwarding.`;
  if (error.code === 'FORWARD_REFUSED') {
    return [`Error: remote port forwarding failed for listen ${bind.kind === 'tcp' ? 'port' : 'path'} ${where}`];
  }
  if (!error.code.startsWith('BIND_')) return [cleanLine(error.message), local];
  const bound = error.message.replace(/^Cannot bind \S+: /, '').replace(/ \(.*\)$/, '');
  if (bind.kind === 'unix') return [cleanLine(bound), local];
  return [cleanLine(bound), `channel_setup_fwd_listener_tcpip: cannot listen to port: ${where}`, local];
}
