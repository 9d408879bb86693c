import {
  parseDynamicForward,
  parseLocalForward,
  parseRemoteForward,
  type ForwardSpec,
} from '../../model/forward-spec.ts';
import { TunnelError } from '../../model/failure.ts';
import { secondsOf, type SshSettings } from '../../ssh-config/settings.ts';
import type { SshCommand } from './command-line.ts';

/** What only `tunnel ssh` heeds of ssh_config and the command line. */
export interface SessionRules {
  readonly exitOnForwardFailure: boolean;
  /** How often to try to connect, at least once. */
  readonly connectionAttempts: number;
  /** Nobody is asked anything. */
  readonly batch: boolean;
  /** An unknown host key is refused without a question. */
  readonly strictHostKeys: boolean;
  /** Where the control socket is, tokens unexpanded; null is nowhere. */
  readonly controlPath: string | null;
  readonly master: boolean;
  /**
   * A master stays in the background, and goes once nobody has used it for so long; Infinity is never, null stays in the
   * foreground for as long as it is not ended.
   */
  readonly persistMs: number | null;
  readonly loudness: Loudness;
}

/** How much is told on stderr: nothing, what ended it, what a person should know besides, or every step. */
export type Loudness = 'quiet' | 'errors' | 'notes' | 'debug';

/** Reads the rules; what is not said is as ssh has it by default. */
export function sessionRules({ said }: SshSettings, command: SshCommand): SessionRules {
  const one = (name: string): string => said.get(name)?.[0] ?? '';
  const yes = (name: string): boolean => /^(?:yes|true)$/i.test(one(name));
  const path = one('controlpath');
  return {
    // -W implies it (ssh(1)); ssh_config may take it back.
    exitOnForwardFailure: yes('exitonforwardfailure') || command.stdio !== null,
    connectionAttempts: Math.max(1, Number.parseInt(one('connectionattempts'), 10) || 1),
    batch: yes('batchmode'),
    strictHostKeys: yes('stricthostkeychecking'),
    controlPath: path === '' || /^none$/i.test(path) ? null : path,
    master: command.master || /^(?:yes|true|auto|ask|autoask)$/i.test(one('controlmaster')),
    persistMs: persistMs(one('controlpersist')),
    loudness: loudness(command, one('loglevel')),
  };
}

/** -q is LogLevel QUIET, each -v a step of DEBUG (ssh(1)); with both, -q stands. */
function loudness({ quiet, verbosity }: SshCommand, logLevel: string): Loudness {
  if (quiet || /^(?:quiet|fatal)$/i.test(logLevel)) return 'quiet';
  if (verbosity > 0 || /^debug/i.test(logLevel)) return 'debug';
  return /^error$/i.test(logLevel) ? 'errors' : 'notes';
}

/** `yes` and 0 are for ever (ssh_config(5), ControlPersist). */
function persistMs(value: string): number | null {
  if (value === '' || /^(?:no|false)$/i.test(value)) return null;
  const seconds = /^(?:yes|true)$/i.test(value) ? null : secondsOf(value);
  return seconds === null ? Infinity : seconds * 1000;
}

/** All forwards: those of the command line, then ssh_config's; `ClearAllForwardings` and -W leave none of either. */
export function allForwards(command: SshCommand, { said, forwards }: SshSettings): readonly ForwardSpec[] {
  const cleared = said.get('clearallforwardings')?.[0];
  if (/^(?:yes|true)$/i.test(cleared ?? '') || command.stdio !== null) return [];
  const local = forwards.local.map((text) => parseLocalForward(asOption(text)) ?? unreadable('LocalForward', text));
  const remote = forwards.remote.map((text) => parseRemoteForward(asOption(text)) ?? unreadable('RemoteForward', text));
  const dynamic = forwards.dynamic
    .filter((text) => !forwards.local.some((other) => isUnixTwin(text, other)))
    .map((text) => parseDynamicForward(asOption(text)) ?? unreadable('DynamicForward', text));
  const everywhere = /^(?:yes|true)$/i.test(said.get('gatewayports')?.[0] ?? '');
  return [...command.forwards, ...local, ...remote, ...dynamic].map((spec) => (everywhere ? opened(spec) : spec));
}

/** `8080 [web]:80` as `ssh -G` prints it, or `8080 web:80` as it is written. A remote SOCKS forward goes to `[socks]:0`. */
function asOption(text: string): string {
  const [bind = '', target = ''] = text.trim().split(/\s+/);
  const plain = (part: string): string => part.replace(/\[([^\]:]*)\]/g, '$1');
  return target === '' || target === '[socks]:0' ? plain(bind) : `${plain(bind)}:${plain(target)}`;
}

/** OpenSSH 9.2 prints a local forward to a unix socket as a dynamic one besides. */
function isUnixTwin(dynamic: string, local: string): boolean {
  const [bind = '', target = ''] = local.trim().split(/\s+/);
  return target.startsWith('/') && bind === dynamic.trim();
}

/** -g and GatewayPorts: what listens here listens on all addresses (ssh(1)). */
function opened(spec: ForwardSpec): ForwardSpec {
  const here = spec.kind === 'local' || spec.kind === 'socks';
  if (!here || spec.bind.kind !== 'tcp' || spec.bind.host !== 'localhost') return spec;
  return { ...spec, bind: { ...spec.bind, host: '*' } };
}

function unreadable(name: string, text: string): never {
  throw new TunnelError('USAGE', `Bad forwarding specification '${text}' of ${name}`);
}
