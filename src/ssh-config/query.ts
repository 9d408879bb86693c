import { execFile } from 'node:child_process';
import { isHostName } from '../model/endpoint.ts';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { isUserName } from '../model/hop-spec.ts';
import type { HopSpec } from '../model/profile.ts';
import { readSettings, type OptionValues, type SshSettings } from './settings.ts';

/** Which ssh_config is asked: what ssh itself reads, one file in its place, or none at all. */
export type ConfigChoice =
  { readonly kind: 'usual' } | { readonly kind: 'file'; readonly file: string } | { readonly kind: 'none' };

export interface QueryOptions {
  /** The program; a test may name another. */
  readonly ssh: string;
  readonly config: ConfigChoice;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Lines of ssh_config that come before all files, as ssh's own -o does. */
  readonly overrides?: readonly string[];
}

/** `Match exec` runs commands of the person; one that hangs must not hold a tunnel for ever. */
const DEADLINE_MS = 5_000;
const LARGEST_ANSWER = 1024 * 1024;

/**
 * Has `ssh -G` say what it would do for this host; no connection is made, no shell is used.
 * @returns undefined where there is no such program
 * @throws PROFILE_INVALID with ssh's own words where it cannot read its configuration, TIMED_OUT, USAGE for a host that
 *   could be taken for an option
 */
export async function querySsh(hop: HopSpec, options: QueryOptions): Promise<SshSettings | undefined> {
  refuseOdd(hop);
  const overrides = [
    ...(hop.user === undefined ? [] : ['-l', hop.user]),
    ...(hop.port === undefined ? [] : ['-p', String(hop.port)]),
  ];
  const first = (options.overrides ?? []).flatMap((line) => ['-o', line]);
  const ask = (config: ConfigChoice, lines: readonly string[] = first): Promise<OptionValues | undefined> =>
    run([...configFlag(config), ...lines, ...overrides, '--', hop.host], hop.host, options);
  // Defaults are printed as if they were configured: what is the same without any file is no wish of the person.
  const [said, silent] = await Promise.all([ask(options.config), ask({ kind: 'none' }, [])]);
  if (said === undefined || silent === undefined) return undefined;
  const settings = await withoutSystemGssapi(readSettings('ssh -G', said, aboutTheHost(silent)), options, ask);
  const unsaid = new Set(
    ALWAYS_TOLD.filter((key) => said.get(key.toLowerCase())?.[0] === silent.get(key.toLowerCase())?.[0]),
  );
  return { ...settings, unsaid };
}

const ALWAYS_TOLD = ['hostName', 'user', 'port'] as const;

/** Host, user and port are told even where they are defaults: ssh knows them best. */
function aboutTheHost(silent: OptionValues): OptionValues {
  return new Map([...silent].filter(([name]) => !['hostname', 'user', 'port'].includes(name)));
}

function configFlag(config: ConfigChoice): readonly string[] {
  if (config.kind === 'usual') return [];
  return ['-F', config.kind === 'file' ? config.file : 'none'];
}

/** ssh would read `-oProxyCommand=…` as an option; names with control characters reach shells by tokens (CVE-2025-61984). */
function refuseOdd({ host, user }: HopSpec): void {
  if (!isHostName(host))
    throw new TunnelError('USAGE', `Cannot ask ssh_config about ${cleanLine(host, 80)}: it is no host name`);
  if (user !== undefined && !isUserName(user)) {
    throw new TunnelError('USAGE', `Cannot ask ssh_config about ${cleanLine(user, 80)}@${host}: it is no user name`);
  }
}

function run(args: readonly string[], host: string, { ssh, env }: QueryOptions): Promise<OptionValues | undefined> {
  const limits = { timeout: DEADLINE_MS, maxBuffer: LARGEST_ANSWER, killSignal: 'SIGKILL' } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(
      ssh,
      ['-G', ...args],
      { ...limits, env, encoding: 'utf8', windowsHide: true },
      (error, stdout, stderr) => {
        if (error === null) return resolve(parseAnswer(stdout));
        if (error.code === 'ENOENT') return resolve(undefined);
        reject(error.killed === true ? tooSlow(host) : cannotRead(host, stderr, error));
      },
    );
    child.stdin?.end();
  });
}

function tooSlow(host: string): TunnelError {
  return new TunnelError(
    'TIMED_OUT',
    `Cannot read ssh_config for ${host}: ssh -G did not answer within ${DEADLINE_MS / 1000} s`,
    {
      hint: 'A `Match exec` command in ssh_config may hang.',
    },
  );
}

function cannotRead(host: string, stderr: string, cause: Error): TunnelError {
  const words = stderr.split('\n').filter((text) => text.trim() !== '' && !text.startsWith('Pseudo-terminal'));
  const why = words.length === 0 ? cause.message : words.join(' / ');
  return new TunnelError('PROFILE_INVALID', `Cannot read ssh_config for ${host}: ${cleanLine(why)}`, {
    cause,
    hint: `Correct it until \`ssh -G ${host}\` is content.`,
  });
}

/** One option a line, its name in lower case; an option that stands several times has several values. */
export function parseAnswer(text: string): OptionValues {
  const values = new Map<string, string[]>();
  for (const line of text.split(/\r?\n/)) {
    const match = /^(\S+)\s+(.*)$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const name = match[1].toLowerCase();
    values.set(name, [...(values.get(name) ?? []), match[2]]);
  }
  return values;
}

/**
 * Debian and Fedora switch GSSAPIAuthentication on for everybody. Where only the system's file says so it is no wish of
 * the person, and a warning at each start would be noise; docs and `check` say that GSSAPI is not supported.
 */
async function withoutSystemGssapi(
  settings: SshSettings,
  { config }: QueryOptions,
  ask: (config: ConfigChoice) => Promise<OptionValues | undefined>,
): Promise<SshSettings> {
  const isGssapi = (warning: string): boolean => warning.includes('gssapiauthentication');
  if (config.kind !== 'usual' || !settings.warnings.some(isGssapi)) return settings;
  const system = await ask({ kind: 'file', file: SYSTEM_CONFIG }).catch((error: unknown) => {
    if (error instanceof TunnelError) return undefined; // no such file: then the person's own says so
    throw error;
  });
  if (system?.get('gssapiauthentication')?.[0] !== 'yes') return settings;
  return { ...settings, warnings: settings.warnings.filter((warning) => !isGssapi(warning)) };
}

const SYSTEM_CONFIG = '/etc/ssh/ssh_config';
