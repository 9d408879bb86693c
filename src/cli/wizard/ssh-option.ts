import type { AuthMethod } from '../../model/plan.ts';
import {
  dynamicForward,
  jumpHosts,
  localForward,
  portOf,
  remoteForward,
  unreadable,
  type Draft,
} from './ssh-values.ts';

type Apply = (draft: Draft, value: string) => void;

/** The ssh_config options that a profile has a word for, by their names in lower case. */
const APPLY: Readonly<Record<string, Apply>> = {
  user: (draft, value) => (draft.server.user ??= value),
  port: (draft, value) => (draft.server.port ??= portOf(value)),
  identityfile: (draft, value) => (draft.server.identity = [...(draft.server.identity ?? []), value]),
  identityagent: (draft, value) => (draft.server.agent ??= agentOf(value)),
  localforward: (draft, value) => draft.forwards.push(localForward(value.replace(/\s+/, ':'))),
  remoteforward: (draft, value) => draft.forwards.push(remoteForward(value.replace(/\s+/, ':'))),
  dynamicforward: (draft, value) => draft.forwards.push(dynamicForward(value)),
  gatewayports: (draft, value) => (draft.everywhere ||= isYes(value)),
  proxyjump: (draft, value) => (draft.jumps = draft.jumps.length > 0 ? draft.jumps : jumpHosts(value)),
  proxycommand: (draft, value) => (draft.server.proxyCommand ??= value),
  compression: (draft, value) => (draft.server.compression ??= isYes(value)),
  ciphers: (draft, value) => (draft.server.ciphers ??= value.split(',')),
  macs: (draft, value) => (draft.server.macs ??= value.split(',')),
  kexalgorithms: (draft, value) => (draft.server.kex ??= value.split(',')),
  hostkeyalgorithms: (draft, value) => (draft.server.hostKeyAlgorithms ??= value.split(',')),
  userknownhostsfile: (draft, value) => (draft.server.knownHosts ??= value.split(/\s+/)),
  stricthostkeychecking: hostKeyChecking,
  preferredauthentications: (draft, value) => (draft.server.auth ??= value.split(',').filter(isAuthMethod)),
  serveraliveinterval: (draft, value) => (draft.keepalive.intervalMs ??= positive(value, 1000)),
  serveralivecountmax: (draft, value) => (draft.keepalive.maxMissed ??= positive(value, 1)),
  connecttimeout: (draft, value) => (draft.timeouts.connectMs ??= positive(value, 1000)),
};

/** Always so here, or without meaning for a tunnel: no warning is due. */
const MEANINGLESS = new Set([
  'batchmode',
  'clearallforwardings',
  'controlmaster',
  'controlpath',
  'controlpersist',
  'escapechar',
  'exitonforwardfailure',
  'forkafterauthentication',
  'forwardagent',
  'forwardx11',
  'loglevel',
  'requesttty',
  'sessiontype',
  'stdinnull',
  'tcpkeepalive',
]);

/** Takes over the value of `-o`: `Name=value` or `Name value`, the name in any case. @throws USAGE */
export function applySshOption(draft: Draft, text: string): void {
  const match = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*$/s.exec(text);
  if (match === null) throw unreadable(`-o ${text} is not Name=value`);
  const [, name = '', value = ''] = match;
  const key = name.toLowerCase();
  const apply = Object.hasOwn(APPLY, key) ? APPLY[key] : undefined;
  if (apply !== undefined) apply(draft, value);
  else if (!MEANINGLESS.has(key)) {
    draft.warnings.push(`-o ${name}=${value} is not kept: write it into ssh_config for this host, which is read too`);
  }
}

/** ssh_config(5) StrictHostKeyChecking. `no` would take even a changed key: that is not offered. */
function hostKeyChecking(draft: Draft, value: string): void {
  const word = value.toLowerCase();
  if (word === 'accept-new' || isNo(word)) draft.server.hostKey ??= { kind: 'accept-new' };
  if (isNo(word))
    draft.warnings.push(`StrictHostKeyChecking=${value} became accept-new: a changed key is refused always`);
}

function agentOf(value: string): boolean | string {
  if (value.toLowerCase() === 'none') return false;
  return value === 'SSH_AUTH_SOCK' ? true : value;
}

/** 0 switches an ssh timer off; here there is no such state, so the default stands. */
function positive(value: string, unit: number): number | undefined {
  if (!/^\d{1,6}$/.test(value)) throw unreadable(`${value} is no number`);
  return value === '0' ? undefined : Number(value) * unit;
}

function isAuthMethod(word: string): word is AuthMethod {
  return word === 'publickey' || word === 'keyboard-interactive' || word === 'password';
}

function isYes(value: string): boolean {
  return value.toLowerCase() === 'yes';
}

function isNo(word: string): boolean {
  return word === 'no' || word === 'off';
}
