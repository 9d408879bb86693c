import { isIP } from 'node:net';
import { isLoopback } from '../model/endpoint.ts';
import type { ForwardSpec, TriggerSpec } from '../model/forward-spec.ts';

/** A mistake in one forward, at one of its fields; `bind` is the field that names the kind. */
export interface ForwardMistake {
  readonly field:
    | 'bind'
    | 'to'
    | 'open'
    | 'idle'
    | 'lifetime'
    | 'clients'
    | 'access'
    | 'allow'
    | 'expect'
    | 'expectAt'
    | 'map'
    | 'proxyProtocol';
  readonly message: string;
}

/** What one forward says that contradicts itself or is not allowed. */
export function forwardMistakes(forward: ForwardSpec): ForwardMistake[] {
  return [...contradictions(forward), ...relayMistakes(forward), ...mapMistakes(forward)];
}

function* contradictions(forward: ForwardSpec): Generator<ForwardMistake> {
  const onDemand = forward.open === 'on-demand';
  if (forward.idleMs !== undefined && !onDemand && forward.kind !== 'trigger' && !relaysDatagrams(forward)) {
    yield { field: 'idle', message: '`idle` needs `open: on-demand`: a forward that is always open has no idle time' };
  }
  if (forward.lifetimeMs !== undefined && !onDemand) {
    yield { field: 'lifetime', message: '`lifetime` needs `open: on-demand`' };
  }
  if (onDemand && onServer(forward)) {
    const why = 'the server listens only while the SSH connection is up';
    yield { field: 'open', message: `\`open: on-demand\` is for listeners of this machine: ${why}` };
  }
  if (onDemand && forward.kind === 'relay') {
    yield { field: 'open', message: '`open: on-demand` is of no use here: a relay needs no SSH connection' };
  }
  if (forward.kind === 'trigger') yield* triggerMistakes(forward);
  if (oneAtATime(forward) && forward.bind.kind === 'unix') {
    const why = 'its clients have no address to tell them apart';
    yield { field: 'clients', message: `\`clients: ${forward.clients}\` is not for a Unix socket: ${why}` };
  }
  if (forward.allow !== undefined && forward.bind.kind === 'unix') {
    yield {
      field: 'allow',
      message: '`allow` is not for a Unix socket: its clients have no address, and its file says who may connect',
    };
  }
  if (forward.access !== undefined && (forward.bind.kind !== 'unix' || onServer(forward))) {
    yield { field: 'access', message: '`access` is for a Unix socket of this machine: it is the mode of its file' };
  }
  if (forward.expect?.kind === 'datagram' && !relaysDatagrams(forward)) {
    yield { field: 'expect', message: '`expect: { send }` asks by UDP: it is for a relay with `protocol: udp`' };
  }
  if (forward.kind === 'socks' || forward.kind === 'remote-socks') {
    const { expect, expectAt } = forward;
    if (expect !== undefined && expectAt === undefined) {
      yield {
        field: 'expect',
        message: '`expect` needs `expectAt: HOST:PORT`: clients of a proxy name their own targets',
      };
    }
    if (expect === undefined && expectAt !== undefined) {
      yield { field: 'expectAt', message: '`expectAt` needs `expect`: it is whom that asks' };
    }
  }
  if (listensHere(forward) && forward.gateway !== true && !isLoopback(forward.bind)) {
    yield {
      field: 'bind',
      message: 'binds beyond loopback, where others can reach it: say `gateway: true` if that is meant',
    };
  }
}

function onServer({ kind }: ForwardSpec): boolean {
  return kind === 'remote' || kind === 'remote-socks';
}

function relaysDatagrams(forward: ForwardSpec): boolean {
  return forward.kind === 'relay' && forward.protocol === 'udp';
}

function* relayMistakes(forward: ForwardSpec): Generator<ForwardMistake> {
  if (forward.kind !== 'relay' || forward.protocol !== 'udp') return;
  if (forward.bind.kind === 'unix') yield { field: 'bind', message: 'is a unix socket, which takes no UDP' };
  if (forward.targets.some(({ kind }) => kind === 'unix')) {
    yield { field: 'to', message: '`to` names a unix socket, which takes no UDP' };
  }
  if (forward.expect !== undefined && forward.expect.kind !== 'datagram') {
    const remedy = 'say what to send and what to await, { send: ping, match: /pong/ }';
    yield { field: 'expect', message: `\`expect: ${forward.expect.kind}\` asks by TCP, and this is UDP: ${remedy}` };
  }
  if (forward.proxyProtocol === 'v1') {
    yield { field: 'proxyProtocol', message: '`proxyProtocol: v1` has no form for UDP: say v2' };
  }
  if (oneAtATime(forward)) {
    yield { field: 'clients', message: `\`clients: ${forward.clients}\` counts connections, which UDP has not` };
  }
}

function* triggerMistakes({ clients, bind }: TriggerSpec): Generator<ForwardMistake> {
  if (clients === 'many') {
    yield { field: 'clients', message: '`clients: many` is not for a trigger: say exclusive, takeover or queue' };
  }
  if (bind.kind === 'unix') {
    yield {
      field: 'bind',
      message: 'must be a TCP port: clients of a Unix socket have no address to lead back to',
    };
  }
}

/** Nothing is opened to the Internet by a slip, and nothing is asked for that could lead nowhere. */
function* mapMistakes(forward: ForwardSpec): Generator<ForwardMistake> {
  const { map, bind } = forward;
  if (map === undefined) return;
  const protocol = relaysDatagrams(forward) ? 'udp' : 'tcp';
  if (forward.kind === 'remote' || forward.kind === 'remote-socks') {
    yield { field: 'map', message: '`map` asks the router of this machine, and here the SSH server listens' };
  } else if (bind.kind === 'unix' || isLoopback(bind)) {
    const remedy = forward.kind === 'relay' ? 'bind 0.0.0.0' : 'bind 0.0.0.0, with `gateway: true`';
    yield { field: 'map', message: `\`map\` needs a listener that the router can reach: ${remedy}` };
  } else if (isIP(bind.host) === 6) {
    yield { field: 'map', message: '`map` asks for a port of the IPv4 address: bind 0.0.0.0, or * for both families' };
  }
  if (forward.kind === 'socks' && forward.auth === undefined) {
    const why = 'whoever found the port could reach all that the server can';
    yield { field: 'map', message: `\`map\` beside a proxy needs \`auth\`: ${why}` };
  }
  if (map.protocol !== undefined && map.protocol !== protocol) {
    yield { field: 'map', message: `\`map\` says ${map.protocol}, and the forward is ${protocol}` };
  }
}

function oneAtATime({ clients }: ForwardSpec): boolean {
  return clients !== undefined && clients !== 'many';
}

/** A relay is a gateway by its nature; on the server, sshd's own GatewayPorts decides. */
function listensHere(forward: ForwardSpec): boolean {
  return forward.kind === 'local' || forward.kind === 'socks' || forward.kind === 'trigger';
}
