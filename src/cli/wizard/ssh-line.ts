import { resolve } from 'node:path';
import { isLoopback } from '../../model/endpoint.ts';
import { TunnelError } from '../../model/failure.ts';
import type { ForwardSpec } from '../../model/forward-spec.ts';
import type { HopSpec, Profile } from '../../model/profile.ts';
import { parseHop } from '../../model/hop-spec.ts';
import { shellWords } from './shell-words.ts';
import { sortSshArguments } from './ssh-arguments.ts';
import { applySshOption } from './ssh-option.ts';
import {
  dynamicForward,
  jumpHosts,
  localForward,
  portOf,
  remoteForward,
  unreadable,
  type Draft,
} from './ssh-values.ts';

/** What an `ssh -L` line says, as a profile. */
export interface SshLine {
  readonly profile: Profile;
  /** What ssh would do and the profile will not: one sentence each. */
  readonly warnings: readonly string[];
}

/** These mean nothing to a tunnel: no command, no terminal, in the background, quietly; some are always so here. */
const MEANINGLESS = 'NfTnqvxakMtsKyV';

/**
 * Reads `ssh -L 113:pop.example.org:113 alice@pop.example.org` and its like.
 * @param cwd where the line would be run: a profile's own relative paths begin elsewhere
 * @throws USAGE where it is no such line, NOT_SUPPORTED where it asks for what this version cannot do
 */
export function readSshLine(line: string, cwd: string): SshLine {
  const [program = '', ...words] = shellWords(line);
  if (!/(^|\/)ssh$/.test(program)) {
    throw new TunnelError('USAGE', 'Cannot read the line: it does not begin with ssh', {
      hint: "Write it as you would run it: --from 'ssh -L 113:pop.example.org:113 alice@pop.example.org'",
    });
  }
  return readSshWords(words, cwd);
}

/** As `readSshLine`, of the words after `ssh`. */
export function readSshWords(words: readonly string[], cwd: string): SshLine {
  const { options, destination, command } = sortSshArguments(words);
  if (destination === undefined) throw unreadable('it names no server');
  if (command.length > 0) {
    throw new TunnelError('USAGE', 'Cannot read the ssh line: it runs a command on the server', {
      hint: 'A tunnel only forwards: leave the command out.',
    });
  }
  const draft: Draft = { server: {}, jumps: [], forwards: [], keepalive: {}, timeouts: {}, warnings: [] };
  for (const { letter, value } of options) applyLetter(draft, letter, value);
  return finish(draft, destination, cwd);
}

function applyLetter(draft: Draft, letter: string, value: string): void {
  switch (letter) {
    case 'L':
      return void draft.forwards.push(localForward(value));
    case 'J':
      return void (draft.jumps = jumpHosts(value));
    case 'D':
      return void draft.forwards.push(dynamicForward(value));
    case 'R':
      return void draft.forwards.push(remoteForward(value));
    case 'W':
    case 'w':
      throw new TunnelError(
        'NOT_SUPPORTED',
        `Cannot take over -${letter} ${value}: only -L, -R and -D are supported yet`,
        {
          hint: 'Leave it out, or keep that one with ssh for now.',
        },
      );
    case 'p':
      return void (draft.server.port ??= portOf(value));
    case 'l':
      return void (draft.server.user ??= value);
    case 'i':
      return void (draft.server.identity = [...(draft.server.identity ?? []), value]);
    case 'F':
      return void (draft.sshConfig = value);
    case 'C':
      return void (draft.server.compression = true);
    case 'c':
      return void (draft.server.ciphers ??= value.split(','));
    case 'm':
      return void (draft.server.macs ??= value.split(','));
    case 'g':
      return void (draft.everywhere = true);
    case 'o':
      return applySshOption(draft, value);
    default:
      if (MEANINGLESS.includes(letter)) return;
      draft.warnings.push(`-${letter}${value === '' ? '' : ` ${value}`} is not kept: a profile has no word for it`);
  }
}

function finish(draft: Draft, destination: string, cwd: string): SshLine {
  const named = parseHop(destination);
  if (named === undefined) throw unreadable(`${destination} is no server`);
  if (draft.forwards.length === 0) throw unreadable('it has no -L, -R or -D, so there is nothing to forward');
  const profile: Profile = {
    via: [...draft.jumps, withFiles(serverOf(draft.server, named), cwd)],
    ...(draft.sshConfig === undefined ? {} : { sshConfig: absolute(draft.sshConfig, cwd) }),
    forwards: draft.forwards.map((forward) => withGateway(forward, draft.everywhere === true)),
    ...(Object.values(draft.keepalive).some(isSet) ? { keepalive: draft.keepalive } : {}),
    ...(Object.values(draft.timeouts).some(isSet) ? { timeouts: draft.timeouts } : {}),
  };
  return { profile, warnings: draft.warnings };
}

/** ssh.c: -l and -p stand against what the destination itself says. */
function serverOf(options: Draft['server'], named: HopSpec): HopSpec {
  const { user = named.user, port = named.port, ...rest } = options;
  return {
    host: named.host,
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...rest,
  };
}

function withFiles(server: HopSpec, cwd: string): HopSpec {
  const { identity, knownHosts, agent } = server;
  return {
    ...server,
    ...(identity === undefined ? {} : { identity: identity.map((file) => absolute(file, cwd)) }),
    ...(knownHosts === undefined ? {} : { knownHosts: knownHosts.map((file) => absolute(file, cwd)) }),
    ...(typeof agent === 'string' ? { agent: absolute(agent, cwd) } : {}),
  };
}

/** `~`, `%d` and `$VARIABLE` begin an absolute path once they are read; `none` is no file (ssh(1) -F). */
function absolute(file: string, cwd: string): string {
  return /^(?:[~%$]|none$)/.test(file) ? file : resolve(cwd, file);
}

/** ssh(1) -g, or a bind address beyond loopback: a profile wants `gateway: true` for that, so that it never happens unawares. */
function withGateway(forward: ForwardSpec, everywhere: boolean): ForwardSpec {
  if (forward.kind === 'remote' || forward.kind === 'remote-socks') return forward; // GatewayPorts of the server decides
  const { bind } = forward;
  if (everywhere && bind.kind === 'tcp' && bind.host === 'localhost') {
    return { ...forward, bind: { ...bind, host: '*' }, gateway: true };
  }
  return isLoopback(bind) ? forward : { ...forward, gateway: true };
}

function isSet(value: unknown): boolean {
  return value !== undefined;
}
