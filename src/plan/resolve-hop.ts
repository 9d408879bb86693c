import { dirname } from 'node:path';
import { isHostName } from '../model/endpoint.ts';
import { formatHop, isUserName } from '../model/hop-spec.ts';
import type { HopPlan, HostKeyPolicy } from '../model/plan.ts';
import { DEFAULTS, type HopSpec } from '../model/profile.ts';
import type { SshSettings } from '../ssh-config/settings.ts';
import { expandFile, expandHome, expandTokens, type LocalFacts, type TokenFacts } from '../ssh-config/tokens.ts';
import { authOrder, identityOrder } from './auth-order.ts';
import type { ChainHop } from './hops.ts';
import type { Origins } from './origins.ts';

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
export function resolveHop({ spec, settings, first }: ChainHop, facts: HopFacts, from: Origins): HopPlan {
  from.note(['label'], []);
  const host = dialledHost(spec, settings);
  from.note(['host'], false, settings.hostName !== null && 'hostName', ['host']);
  const port = from.choose(['port'], spec.port, ['port', settings.port], DEFAULTS.port);
  const user = loginName(from.choose(['user'], spec.user, ['user', settings.user], facts.local.user));
  const { hostKeyAlias } = settings;
  const proxyJump = settings.proxyJump ?? '';
  const tokens: TokenFacts = { host, original: spec.host, port, user, hostKeyAlias, proxyJump, local: facts.local };
  const named = hostKeyAlias === null ? 'hostName' : 'hostKeyAlias';
  from.note(['hostKeyName'], false, settings[named] !== null && named, ['host']);
  return {
    label: formatHop(spec),
    host,
    port,
    user,
    hostKeyName: hostKeyAlias ?? host,
    addressFamily: from.choose(['addressFamily'], undefined, ['addressFamily', settings.addressFamily], 'any'),
    bindAddress: from.choose(['bindAddress'], undefined, ['bindAddress', settings.bindAddress], null),
    proxyCommand: first
      ? proxyCommand(spec, settings, tokens, from)
      : from.choose(['proxyCommand'], undefined, null, null),
    ...identities(spec, settings, tokens, facts, from),
    agent: agent(spec, settings, tokens, facts, from),
    auth: methods(spec, settings, from),
    ...hostKeys(spec, settings, tokens, facts, from),
    compression: from.choose(['compression'], spec.compression, ['compression', settings.compression], false),
    ciphers: from.choose(['ciphers'], spec.ciphers, ['ciphers', settings.ciphers], null),
    kex: from.choose(['kex'], spec.kex, ['kex', settings.kex], null),
    macs: from.choose(['macs'], spec.macs, ['macs', settings.macs], null),
    hostKeyAlgorithms: from.choose(
      ['hostKeyAlgorithms'],
      spec.hostKeyAlgorithms,
      ['hostKeyAlgorithms', settings.hostKeyAlgorithms],
      null,
    ),
    legacy: from.choose(['legacy'], spec.legacy, null, false),
    rekey: {
      bytes: from.choose(['rekey', 'bytes'], undefined, ['rekeyBytes', settings.rekeyBytes], null),
      everyMs: from.choose(['rekey', 'everyMs'], undefined, ['rekeySeconds', inMs(settings.rekeySeconds)], null),
    },
  };
}

function inMs(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

/** Files of the profile replace those of ssh_config, certificates included. */
function identities(
  spec: HopSpec,
  settings: SshSettings,
  tokens: TokenFacts,
  facts: HopFacts,
  from: Origins,
): Pick<HopPlan, 'identities' | 'certificates' | 'identitiesOnly'> {
  const own = spec.identity !== undefined;
  from.note(['identities'], own && ['identity'], settings.identityFiles !== null && 'identityFiles');
  from.note(['certificates'], own && ['identity'], settings.certificateFiles.length > 0 && 'certificateFiles');
  from.note(['identitiesOnly'], false, settings.identitiesOnly && 'identitiesOnly');
  return {
    identities: identityOrder(spec, settings).map(({ file, explicit }) => ({
      file: own ? written(file, facts) : expandFile(file, tokens),
      explicit,
    })),
    certificates: own ? [] : settings.certificateFiles.map((file) => expandFile(file, tokens)),
    identitiesOnly: settings.identitiesOnly,
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
function proxyCommand(spec: HopSpec, settings: SshSettings, tokens: TokenFacts, from: Origins): string | null {
  from.note(
    ['proxyCommand'],
    spec.proxyCommand !== undefined && ['proxyCommand'],
    settings.proxyCommand !== null && 'proxyCommand',
  );
  if (spec.proxyCommand === 'none') return null;
  const command = spec.proxyCommand ?? settings.proxyCommand;
  return command === null ? null : expandTokens(command, tokens);
}

/** `true` is the agent that ssh would ask; IdentityAgent may be none, SSH_AUTH_SOCK, $VARIABLE or a path. */
function agent(
  spec: HopSpec,
  settings: SshSettings,
  tokens: TokenFacts,
  facts: HopFacts,
  from: Origins,
): string | null {
  const decides = spec.agent === true ? settings.identityAgent?.toLowerCase() === 'none' : spec.agent !== undefined;
  from.note(['agent'], decides && ['agent'], settings.identityAgent !== null && 'identityAgent');
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

function methods(spec: HopSpec, settings: SshSettings, from: Origins): HopPlan['auth'] {
  const said = settings.preferredAuthentications !== null || settings.refusedMethods.length > 0;
  from.note(['auth'], spec.auth !== undefined && ['auth'], said && 'preferredAuthentications');
  return authOrder(spec, settings);
}

type HostKeys = Pick<
  HopPlan,
  'knownHosts' | 'hostKey' | 'hashKnownHosts' | 'updateHostKeys' | 'revokedHostKeys' | 'caSignatureAlgorithms'
>;

function hostKeys(spec: HopSpec, settings: SshSettings, tokens: TokenFacts, facts: HopFacts, from: Origins): HostKeys {
  const user = settings.userKnownHosts ?? ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'];
  const system =
    settings.globalKnownHosts ?? ['ssh_known_hosts', 'ssh_known_hosts2'].map((name) => `${facts.systemSshDir}/${name}`);
  const own = spec.knownHosts?.map((file) => written(file, facts));
  const saidFiles = settings.userKnownHosts === null ? 'globalKnownHosts' : 'userKnownHosts';
  from.note(['knownHosts'], own !== undefined && ['knownHosts'], settings[saidFiles] !== null && saidFiles);
  from.note(
    ['hostKey'],
    spec.hostKey !== undefined && ['hostKey'],
    settings.strictHostKeyChecking !== null && 'strictHostKeyChecking',
  );
  from.note(['hashKnownHosts'], false, settings.hashKnownHosts && 'hashKnownHosts');
  from.note(['updateHostKeys'], false, settings.updateHostKeys !== null && 'updateHostKeys');
  const { revokedHostKeys, caSignatureAlgorithms } = settings;
  from.note(['revokedHostKeys'], false, revokedHostKeys !== null && 'revokedHostKeys');
  from.note(['caSignatureAlgorithms'], false, caSignatureAlgorithms !== null && 'caSignatureAlgorithms');
  return {
    revokedHostKeys: revokedHostKeys === null ? null : expandFile(revokedHostKeys, tokens),
    caSignatureAlgorithms,
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
