import { isAbsolute, join } from 'node:path';
import { TunnelError } from '../../model/failure.ts';
import {
  parseDynamicForward,
  parseLocalForward,
  parseRemoteForward,
  parseTarget,
  type ForwardSpec,
} from '../../model/forward-spec.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import { parseHop } from '../../model/hop-spec.ts';
import type { HopSpec } from '../../model/profile.ts';
import { sortSshArguments } from '../wizard/ssh-arguments.ts';

/** What a command line of `tunnel ssh` asks for. */
export interface SshCommand {
  readonly server: HopSpec;
  /** Lines of ssh_config that the options stand for, in their order: the first of each counts. */
  readonly overrides: readonly string[];
  readonly forwards: readonly ForwardSpec[];
  /** -W: stdin and stdout are the connection. */
  readonly stdio: Endpoint | null;
  /** What is to happen: hold the forwards, log in and leave, print the configuration, or ask a master. */
  readonly action: 'forward' | 'login' | 'print' | { readonly control: ControlCommand };
  readonly noShell: boolean;
  readonly background: boolean;
  readonly master: boolean;
  readonly quiet: boolean;
  /** How often -v stands there. */
  readonly verbosity: number;
  readonly configFile: string | null;
  readonly logFile: string | null;
  /** --save NAME */
  readonly saveAs: string | null;
}
export type ControlCommand = 'check' | 'exit' | 'stop' | 'forward' | 'cancel';

const CONTROL_COMMANDS: readonly ControlCommand[] = ['check', 'exit', 'stop', 'forward', 'cancel'];

/** Options that are a line of ssh_config. */
const AS_LINE: Readonly<Record<string, (value: string) => string>> = {
  '4': () => 'AddressFamily=inet',
  '6': () => 'AddressFamily=inet6',
  b: (value) => `BindAddress=${value}`,
  C: () => 'Compression=yes',
  c: (value) => `Ciphers=${value}`,
  g: () => 'GatewayPorts=yes',
  i: (value) => `IdentityFile=${value}`,
  J: (value) => `ProxyJump=${value}`,
  l: (value) => `User=${value}`,
  M: () => 'ControlMaster=yes',
  m: (value) => `MACs=${value}`,
  o: (value) => value,
  P: (value) => `Tag=${value}`,
  p: (value) => `Port=${value}`,
  S: (value) => `ControlPath=${value}`,
};

/** What stands for something that a tunnel has not, with or without the option: agents, X11, terminals, escapes, logs. */
const MEANINGLESS = 'AaeGkKnqsTtvXxYy1fNM';

/** Options of ssh that this command does not have, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  B: 'binding to an interface is not supported: use -b with its address',
  I: 'PKCS#11 is supported only through the agent',
  Q: 'ask ssh itself for its algorithms',
  w: 'tunnel devices are not supported',
};

/** These values are files: of a command line, relative to the folder where it runs. */
const FILES =
  /^(IdentityFile|CertificateFile|UserKnownHostsFile|GlobalKnownHostsFile|ControlPath)(?:\s*=\s*|\s+)(.*)$/is;

/** -V: what this is, and nothing else, whatever stands beside it. @throws USAGE */
export function asksVersion(words: readonly string[]): boolean {
  return sortSshArguments(withoutSave(words).rest).options.some(({ letter }) => letter === 'V');
}

/**
 * Reads the words after `tunnel ssh` by ssh's own rules, plus `--save NAME`.
 * @param cwd what relative files begin in
 * @throws USAGE, NOT_SUPPORTED with words for the person
 */
export function readSshCommand(words: readonly string[], cwd: string): SshCommand {
  const { saveAs, rest } = withoutSave(words);
  const { options, destination, command } = sortSshArguments(rest);
  const all = (letter: string): string[] => options.filter((one) => one.letter === letter).map(({ value }) => value);
  for (const { letter } of options) {
    const why = REFUSED[letter] ?? '';
    if (why !== '') throw new TunnelError('NOT_SUPPORTED', `Cannot do ssh -${letter}: ${why}`);
  }
  if (destination === undefined) throw usage('it names no server');
  const hop = parseHop(destination);
  if (hop === undefined) throw usage(`${destination} is no server`);
  const overrides = linesOf(options, cwd);
  const user = firstOf('User', overrides) ?? hop.user;
  const port = portOf(firstOf('Port', overrides)) ?? hop.port;
  const has = (letter: string): boolean => all(letter).length > 0;
  return {
    server: { host: hop.host, ...(user === undefined ? {} : { user }), ...(port === undefined ? {} : { port }) },
    overrides,
    forwards: options.flatMap(({ letter, value }) => forwardOf(letter, value)),
    stdio: stdioOf(all('W')),
    action: actionOf(all('O'), has('G'), command),
    noShell: has('N') || has('W') || /^none$/i.test(firstOf('SessionType', overrides) ?? ''),
    background: has('f') || isYes(firstOf('ForkAfterAuthentication', overrides)),
    master: has('M') || /^(?:yes|auto|ask|autoask)$/i.test(firstOf('ControlMaster', overrides) ?? ''),
    quiet: has('q'),
    verbosity: all('v').length,
    configFile: inFolder(all('F').at(-1), cwd),
    logFile: inFolder(all('E').at(-1), cwd),
    saveAs,
  };
}

function withoutSave(words: readonly string[]): { readonly saveAs: string | null; readonly rest: readonly string[] } {
  const end = words.indexOf('--');
  const at = words.findIndex((word, index) => /^--save(?:=|$)/.test(word) && (end < 0 || index < end));
  if (at < 0) return { saveAs: null, rest: words };
  const stuck = words[at]?.slice('--save='.length) ?? '';
  const name = stuck === '' ? words[at + 1] : stuck;
  if (name === undefined) throw usage('--save needs a name');
  return { saveAs: name, rest: words.toSpliced(at, stuck === '' ? 2 : 1) };
}

interface Option {
  readonly letter: string;
  readonly value: string;
}

function linesOf(options: readonly Option[], cwd: string): readonly string[] {
  return options.flatMap(({ letter, value }) => {
    const line = AS_LINE[letter]?.(value);
    if (line === undefined) {
      if (!MEANINGLESS.includes(letter) && !'LRDWOFE'.includes(letter)) throw usage(`-${letter} has no meaning here`);
      return [];
    }
    if (!/^\s*[A-Za-z]\w*(?:\s*=|\s+)\s*\S/.test(line)) throw usage(`-o ${value} is not Name=value`);
    const [, name, file = ''] = FILES.exec(line) ?? [];
    return [name === undefined ? line : `${name}=${inFolder(file, cwd) ?? ''}`];
  });
}

/** The first value of an option among lines of ssh_config. */
function firstOf(name: string, lines: readonly string[]): string | undefined {
  const shape = new RegExp(`^\\s*${name}(?:\\s*=\\s*|\\s+)"?([^"]*?)"?\\s*$`, 'is');
  return lines.map((line) => shape.exec(line)?.[1]).find((value) => value !== undefined);
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new TunnelError('USAGE', `Bad port '${text}'`);
  return port;
}

/** Absolute, `~`, `none` and what begins with a token or a variable stays as it is. */
function inFolder(file: string | undefined, cwd: string): string | null {
  if (file === undefined) return null;
  return isAbsolute(file) || /^(?:[~%$"]|none$)/i.test(file) ? file : join(cwd, file);
}

function forwardOf(letter: string, value: string): ForwardSpec[] {
  const read = { L: parseLocalForward, R: parseRemoteForward, D: parseDynamicForward }[letter];
  if (read === undefined) return [];
  const spec = read(value);
  if (spec !== undefined && !value.includes('->')) return [spec];
  const kind = { L: 'local', R: 'remote', D: 'dynamic' }[letter] ?? '';
  throw new TunnelError('USAGE', `Bad ${kind} forwarding specification '${value}'`);
}

function stdioOf([value, second]: readonly string[]): Endpoint | null {
  if (second !== undefined) throw usage('-W stands there twice');
  if (value === undefined) return null;
  const target = value.startsWith('/') ? ({ kind: 'unix', path: value } as const) : parseTarget(value);
  if (target === undefined) throw new TunnelError('USAGE', `Bad stdio forwarding specification '${value}'`);
  return target;
}

function actionOf([control]: readonly string[], print: boolean, command: readonly string[]): SshCommand['action'] {
  if (control !== undefined) {
    const known = CONTROL_COMMANDS.find((name) => name === control);
    if (known === undefined) throw new TunnelError('USAGE', 'Invalid multiplex command.');
    return { control: known };
  }
  if (print) return 'print';
  if (command.length === 0) return 'forward';
  if (command.join(' ').trim() === 'true') return 'login';
  throw new TunnelError('NOT_SUPPORTED', `Cannot run ${command[0] ?? ''} on the server: tunnel ssh only forwards`, {
    hint: 'The one command that it knows is `true`: log in and leave. Use ssh for others.',
  });
}

function isYes(value: string | undefined): boolean {
  return /^(?:yes|true)$/i.test(value ?? '');
}

function usage(why: string): TunnelError {
  return new TunnelError('USAGE', `Cannot read the command line of ssh: ${why}`, {
    hint: 'tunnel ssh -N -L 8080:web.example.org:80 alice@host',
  });
}
