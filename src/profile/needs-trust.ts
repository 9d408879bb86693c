import { formatEndpoint, isLoopback, type Endpoint } from '../model/endpoint.ts';
import type { ForwardSpec } from '../model/forward-spec.ts';
import type { HopSpec, Profile } from '../model/profile.ts';

/**
 * What a profile would do that its owner must allow where it came with other people's files: run commands, open ports to
 * others, read files of theirs, or say which host keys are right. Empty where it does nothing of the kind.
 */
export function needsTrust(profile: Profile): readonly string[] {
  return [...new Set([...commands(profile), ...(profile.via ?? []).flatMap(hopReasons), ...binds(profile)])];
}

function* commands({ hooks, secrets, sshConfig }: Profile): Generator<string> {
  if (hooks !== undefined && Object.values(hooks).some((hook) => hook !== undefined)) yield 'runs hooks';
  const sources = [secrets?.password, secrets?.passphrase, secrets?.totp];
  if (sources.some((source) => source?.kind === 'command')) yield 'runs a command for a secret';
  if (sources.some((source) => source?.kind === 'file')) yield 'reads a secret from a file';
  // A configuration of its own may hold ProxyCommand and Match exec.
  if (sshConfig !== undefined && sshConfig !== 'none') yield 'names an ssh_config, which can run commands';
}

function hopReasons(hop: HopSpec): string[] {
  return [
    ...(hop.proxyCommand !== undefined && hop.proxyCommand !== 'none' ? ['runs a proxy command'] : []),
    ...((hop.identity?.length ?? 0) > 0 ? ['names key files'] : []),
    ...(typeof hop.agent === 'string' ? ['names an agent'] : []),
    ...(hop.knownHosts === undefined ? [] : ['names a known_hosts file']),
  ];
}

function binds({ forwards }: Profile): string[] {
  return forwards.flatMap((forward) => [
    ...bindsOf(forward)
      .filter((bind) => !isLoopback(bind))
      .map((bind) => `binds ${formatEndpoint(bind)}, beyond loopback`),
    ...(forward.kind === 'remote' || forward.kind === 'remote-socks' || forward.kind === 'trigger'
      ? ['lets the server reach into this network']
      : []),
    ...(forward.access === undefined || forward.access === 'owner' ? [] : ['opens a socket to other users']),
    ...(forward.map === undefined ? [] : ['asks the router for a port']),
  ]);
}

function bindsOf(forward: ForwardSpec): readonly Endpoint[] {
  return forward.kind === 'trigger' ? [forward.bind, ...forward.opens.map(({ bind }) => bind)] : [forward.bind];
}
