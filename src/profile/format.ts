import { formatDuration } from '../model/duration.ts';
import { formatEndpoint, type Endpoint } from '../model/endpoint.ts';
import type { ForwardSpec } from '../model/forward-spec.ts';
import { formatHop } from '../model/hop-spec.ts';
import type { Expectation, HostKeyPolicy, SecretSource } from '../model/plan.ts';
import type { HopSpec, Profile } from '../model/profile.ts';

/** What stands in a profile's file: plain values under the names of the schema; what is undefined is left out. */
export type Written = string | number | boolean | readonly Written[] | WrittenFields;
export interface WrittenFields {
  readonly [name: string]: Written | undefined;
}

/** A profile as the schema reads it, in the order of the schema and in the shortest form that says it all. */
export function writtenProfile(profile: Profile): WrittenFields {
  const { keepalive, reconnect, timeouts, limits, whileDown, probe, secrets, hooks } = profile;
  return {
    description: profile.description,
    tags: profile.tags,
    via: writtenVia(profile.via),
    sshConfig: profile.sshConfig,
    forwards: profile.forwards.map(writtenForward),
    keepalive: keepalive && { interval: duration(keepalive.intervalMs), maxMissed: keepalive.maxMissed },
    reconnect: reconnect && {
      initial: duration(reconnect.initialMs),
      max: duration(reconnect.maxMs),
      giveUpAfter: reconnect.giveUpAfterMs === null ? 'never' : duration(reconnect.giveUpAfterMs),
    },
    timeouts: timeouts && {
      connect: duration(timeouts.connectMs),
      login: duration(timeouts.loginMs),
      channel: duration(timeouts.channelMs),
    },
    limits: limits && { connections: limits.connections, perClient: limits.perClient },
    whileDown:
      whileDown === undefined || whileDown === 'refuse'
        ? whileDown
        : { hold: duration(whileDown.holdMs), queue: whileDown.queue },
    probe: probe && { every: duration(probe.everyMs), timeout: duration(probe.timeoutMs) },
    secrets: secrets && {
      password: secret(secrets.password),
      passphrase: secret(secrets.passphrase),
      totp: secret(secrets.totp),
    },
    connections: profile.connections,
    after: profile.after,
    hooks: hooks && { up: hooks.up, down: hooks.down, waiting: hooks.waiting },
  };
}

/** A local forward that says nothing else is one line. */
export function writtenForward(forward: ForwardSpec): Written {
  const more: WrittenFields = {
    name: forward.name,
    open: forward.open,
    idle: duration(forward.idleMs),
    lifetime: forward.lifetimeMs === null ? 'none' : duration(forward.lifetimeMs),
    clients: forward.clients,
    allow: forward.allow,
    gateway: forward.gateway,
    access: forward.access,
    expect: forward.expect && expectation(forward.expect),
    map: forward.map && { port: forward.map.port, protocol: forward.map.protocol },
  };
  const bare = Object.values(more).every((value) => value === undefined);
  if (forward.kind === 'local' && bare) return `${bindText(forward.bind)} -> ${formatEndpoint(forward.target)}`;
  return { ...kindFields(forward), ...more };
}

function kindFields(forward: ForwardSpec): WrittenFields {
  const bind = bindText(forward.bind);
  switch (forward.kind) {
    case 'local':
      return { local: bind, to: formatEndpoint(forward.target) };
    case 'remote':
      return { remote: bind, to: formatEndpoint(forward.target) };
    case 'socks':
      return { socks: bind, auth: forward.auth, expectAt: forward.expectAt && formatEndpoint(forward.expectAt) };
    case 'remote-socks':
      return {
        'remote-socks': bind,
        auth: forward.auth,
        expectAt: forward.expectAt && formatEndpoint(forward.expectAt),
      };
    case 'trigger': {
      const opens = forward.opens.map(({ bind: at, clientPort, allow }) => ({
        remote: bindText(at),
        to: `client:${clientPort}`,
        ...(allow === undefined ? {} : { allow }),
      }));
      return { trigger: bind, to: formatEndpoint(forward.target), opens };
    }
    case 'relay': {
      const { protocol, choose, proxyProtocol } = forward;
      return { relay: bind, to: forward.targets.map(formatEndpoint), protocol, choose, proxyProtocol };
    }
  }
}

/** A free port is said by its word. */
function bindText(bind: Endpoint): string {
  return bind.kind === 'tcp' && bind.port === 0 ? formatEndpoint(bind).replace(/:0$/, ':auto') : formatEndpoint(bind);
}

function writtenVia(via: Profile['via']): Written | undefined {
  const [first, ...others] = via ?? [];
  if (first === undefined) return undefined;
  return others.length === 0 ? writtenHop(first) : [first, ...others].map(writtenHop);
}

/** A server that says no more than user, host and port is one word. */
function writtenHop(hop: HopSpec): Written {
  const { host, port, user, hostKey, ...more } = hop;
  const bare = hostKey === undefined && Object.values(more).every((value) => value === undefined);
  return bare ? formatHop(hop) : { host, port, user, ...more, hostKey: hostKey && policy(hostKey) };
}

function policy(hostKey: HostKeyPolicy): Written {
  return hostKey.kind === 'fingerprint' ? { fingerprint: hostKey.fingerprints } : hostKey.kind;
}

function secret(source: SecretSource | undefined): Written | undefined {
  if (source?.kind === 'command') return { command: source.argv };
  return source?.kind === 'file' ? { file: source.path } : source?.kind;
}

function expectation(expect: Expectation): Written {
  if (expect.kind === 'datagram') {
    return { send: expect.send, match: expect.match === null ? undefined : `/${expect.match}/` };
  }
  return expect.kind === 'banner' ? `banner:/${expect.pattern}/` : expect.kind;
}

function duration(ms: number | null | undefined): string | undefined {
  return ms === undefined || ms === null ? undefined : formatDuration(ms);
}
