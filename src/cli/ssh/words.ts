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
      return hops.length > 1 ? [why] : [`${connect}: Connection refused`];
    case 'CONNECT_TIMEOUT':
      return [`${connect}: Connection timed out`];
    case 'UNREACHABLE':
      return [`${connect}: No route to host`, why];
    case 'NAME_UNRESOLVED':
      return [`ssh: Could not resolve hostname ${hops[0]?.host ?? ''}: Name or service not known`];
    case 'CONNECTION_LOST':
      return [why, `Connection to ${host} closed by remote host.`];
    case 'KEEPALIVE_TIMEOUT':
      return [`Timeout, server ${host} not responding.`];
    default:
      return [why];
  }
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
  if (error.code === 'FORWARD_REFUSED') return [`Error: remote port forwarding failed for listen port ${where}`];
  if (!error.code.startsWith('BIND_')) return [cleanLine(error.message), local];
  const bound = error.message.replace(/^Cannot bind \S+: /, '').replace(/ \(.*\)$/, '');
  if (bind.kind === 'unix') return [cleanLine(bound), local];
  return [cleanLine(bound), `channel_setup_fwd_listener_tcpip: cannot listen to port: ${where}`, local];
}
