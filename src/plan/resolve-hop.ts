import { dirname } from 'node:path';
import { isHostName } from '../model/endpoint.ts';
import { formatHop, isUserName } from '../model/hop-spec.ts';
import type { HopPlan, HostKeyPolicy } from '../model/plan.ts';
import { DEFAULTS, type HopSpec } from '../model/profile.ts';
import type { SshSettings } from '../ssh-config/settings.ts';
import { expandFile, expandHome, expandTokens, type LocalFacts, type TokenFacts } from '../ssh-config/tokens.ts';
import { authOrder, identityOrder } from './auth-order.ts';
import type { ChainHop } from './hops.ts';

export interface HopFacts {
  /** The profile's file; relative paths in it are relative to its folder. '' for a profile without a file. */
  readonly file: string;
  readonly local: LocalFacts;
  /** Where the system keeps its known hosts: /etc/ssh. */
  readonly systemSshDir: string;
}

/**
 * One hop with nothing left open: the profile over ssh_config over the defaults.
 * @throws RangeError saying what in ssh_config or the profile cannot be used, in words for the person
 */
export function resolveHop({ spec, settings, first }: ChainHop, facts: HopFacts): HopPlan {
  const host = dialledHost(spec, settings);
  const port = spec.port ?? settings.port ?? DEFAULTS.port;
  const user = loginName(spec.user ?? settings.user ?? facts.local.user);
  const { hostKeyAlias } = settings;
  const proxyJump = settings.proxyJump ?? '';
  const tokens: TokenFacts = { host, original: spec.host, port, user, hostKeyAlias, proxyJump, local: facts.local };
  return {
    label: formatHop(spec),
    host,
    port,
    user,
    hostKeyName: hostKeyAlias ?? host,
    addressFamily: settings.addressFamily ?? 'any',
    bindAddress: settings.bindAddress,
    proxyCommand: first ? proxyCommand(spec, settings, tokens) : null,
    identities: identityOrder(spec, settings).map(({ file, explicit }) => ({
      file: spec.identity === undefined ? expandFile(file, tokens) : written(file, facts),
      explicit,
    })),
    certificates: spec.identity === undefined ? settings.certificateFiles.map((file) => expandFile(file, tokens)) : [],
    identitiesOnly: settings.identitiesOnly,
    agent: agent(spec, settings, tokens, facts),
    auth: methods(spec, settings),
    ...hostKeys(spec, settings, tokens, facts),
    compression: spec.compression ?? settings.compression ?? false,
    ciphers: spec.ciphers ?? settings.ciphers,
    kex: spec.kex ?? settings.kex,
    macs: spec.macs ?? settings.macs,
    hostKeyAlgorithms: spec.hostKeyAlgorithms ?? settings.hostKeyAlgorithms,
    legacy: spec.legacy ?? false,
    rekey: {
      bytes: settings.rekeyBytes,
      everyMs: settings.rekeySeconds === null ? null : settings.rekeySeconds * 1000,
    },
  };
}

/** HostName may hold %h and %% (ssh_config(5)); `ssh -G` has expanded them already. */
function dialledHost(spec: HopSpec, { hostName, source }: SshSettings): string {
  if (hostName === null) return spec.host;
  const host = source === 'library' ? hostName.replaceAll('%h', spec.host).replaceAll('%%', '%') : hostName;
  if (!isHostName(host)) throw new RangeError(`ssh_config: HostName of ${spec.host} is no host name`);
  return host;
}

function loginName(user: string): string {
  if (!isUserName(user)) throw new RangeError('ssh_config: User has signs in it that a shell would act on');
  return user;
}

/** `none` in the profile switches ssh_config's off; a jump host of ssh_config comes before a command of it. */
function proxyCommand(spec: HopSpec, settings: SshSettings, tokens: TokenFacts): string | null {
  if (spec.proxyCommand === 'none') return null;
  const command = spec.proxyCommand ?? settings.proxyCommand;
  return command === null ? null : expandTokens(command, tokens);
}

/** `true` is the agent that ssh would ask; IdentityAgent may be none, SSH_AUTH_SOCK, $VARIABLE or a path. */
function agent(spec: HopSpec, settings: SshSettings, tokens: TokenFacts, facts: HopFacts): string | null {
  if (spec.agent === false) return null;
  if (typeof spec.agent === 'string') return written(spec.agent, facts);
  const named = settings.identityAgent;
  if (named === null || named === 'SSH_AUTH_SOCK' || named === '$SSH_AUTH_SOCK') return 'environment';
  if (named.toLowerCase() === 'none') return spec.agent === true ? 'environment' : null;
  if (!named.startsWith('$') || named.startsWith('${')) return expandFile(named, tokens);
  const socket = facts.local.env[named.slice(1)];
  if (socket === undefined) throw new RangeError(`ssh_config: IdentityAgent ${named}: that variable is not set`);
  return socket;
}

function methods(spec: HopSpec, settings: SshSettings): HopPlan['auth'] {
  const order = authOrder(spec, settings);
  if (order.length === 0)
    throw new RangeError('ssh_config leaves no way to log in that is supported: name one with `auth`');
  return order;
}

type HostKeys = Pick<HopPlan, 'knownHosts' | 'hostKey' | 'hashKnownHosts' | 'updateHostKeys'>;

function hostKeys(spec: HopSpec, settings: SshSettings, tokens: TokenFacts, facts: HopFacts): HostKeys {
  const user = settings.userKnownHosts ?? ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'];
  const system =
    settings.globalKnownHosts ?? ['ssh_known_hosts', 'ssh_known_hosts2'].map((name) => `${facts.systemSshDir}/${name}`);
  const own = spec.knownHosts?.map((file) => written(file, facts));
  return {
    knownHosts: own ?? [...user, ...system].map((file) => expandFile(file, tokens)),
    hostKey: spec.hostKey ?? policy(settings),
    hashKnownHosts: settings.hashKnownHosts,
    // As in OpenSSH's fill_default_options: learnt by default, unless the person keeps known hosts elsewhere.
    updateHostKeys: settings.updateHostKeys ?? (own === undefined && settings.userKnownHosts === null ? 'yes' : 'no'),
  };
}

function policy({ strictHostKeyChecking }: SshSettings): HostKeyPolicy {
  const lenient = strictHostKeyChecking === 'accept-new' || strictHostKeyChecking === 'no';
  return { kind: lenient ? 'accept-new' : 'strict' };
}

/** A path of the profile itself: ~ is the home, what is relative begins in the profile's folder. */
function written(path: string, { file, local }: HopFacts): string {
  return expandHome(path, local.home, file === '' ? local.home : dirname(file));
}
