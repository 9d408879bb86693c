import { access, stat } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathFacts, type Paths } from './files/paths.ts';
import { findProfile, readProfileText, type ProfileFile } from './files/profiles.ts';
import { isTrusted } from './files/trusted.ts';
import { TunnelError, type Problem } from './model/failure.ts';
import type { HopPlan, Plan } from './model/plan.ts';
import type { HopSpec, Profile } from './model/profile.ts';
import { isProfilePath } from './model/profile-name.ts';
import type { Caller } from './model/request.ts';
import { hopChain, type HopChain } from './plan/hops.ts';
import type { Origin } from './plan/origins.ts';
import { resolvePlan } from './plan/resolve.ts';
import { needsTrust } from './profile/needs-trust.ts';
import { parseProfile, type ProfileLines } from './profile/parse.ts';
import { readWithoutSsh, type FallbackFacts } from './ssh-config/fallback.ts';
import { agreedPlaces, withWholeFileNames } from './ssh-config/options.ts';
import { querySsh, type ConfigChoice } from './ssh-config/query.ts';
import { NO_SETTINGS, type SshSettings } from './ssh-config/settings.ts';
import { expandFile, expandHome, type LocalFacts } from './ssh-config/tokens.ts';

export interface PlanOptions {
  /** HOME, and what ssh_config may ask for. Default: that of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The program that is asked for ssh_config. Default: `ssh`, found by PATH. */
  readonly ssh?: string;
  /** Have our own reader say as well where each option stands, which `ssh -G` does not. */
  readonly places?: boolean;
  /** Lines of ssh_config that come before all files, for the last host of `via` alone: as the -o of ssh. */
  readonly overrides?: readonly string[];
  /** For a profile that a program made: the file that its relative paths begin beside. Default: the home. */
  readonly file?: string;
}

/** Finds, reads and resolves one profile. */
export type PlanResolver = (nameOrPath: string, caller: Pick<Caller, 'cwd'>) => Promise<Plan>;

/**
 * Makes the resolver of a home. Each call reads everything afresh: the profile, ssh_config, what is trusted.
 * It rejects with PROFILE_NOT_FOUND, PROFILE_INVALID (with every problem), PROFILE_UNTRUSTED, FILE, TIMED_OUT (ssh -G).
 */
export function planResolver(paths: Paths, options: PlanOptions = {}): PlanResolver {
  return async (nameOrPath, caller) => {
    const { plan } = await readAndResolve(nameOrPath, caller, paths, options);
    const hops = await Promise.all(plan.hops.map(withKeyState));
    return { ...plan, hops: isProfilePath(nameOrPath) ? hops : namedServer(hops, plan.name) };
  };
}

/** Several profiles may call a server the same and have known_hosts files of their own: the profile's name tells them apart. */
function namedServer(hops: readonly HopPlan[], profile: string): readonly HopPlan[] {
  return hops.map((hop, index) => (index === hops.length - 1 ? { ...hop, trustedAs: profile } : hop));
}

/** Notes how the key files stand, so that `reload` sees one that was rotated in place. */
async function withKeyState(hop: HopPlan): Promise<HopPlan> {
  const own = hop.identities.flatMap(({ file }) => [file, `${file}-cert.pub`]);
  const states = await Promise.all([...own, ...hop.certificates].map(fileState));
  return { ...hop, keysAsOf: states.join(' ') };
}

async function fileState(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(file);
    return `${ino}:${size}:${mtimeMs}`;
  } catch (error) {
    // Missing or out of reach: the login says so where it matters.
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  }
}

/** A plan, where each of its values came from, and where the profile's own stand. */
export interface TracedPlan {
  readonly plan: Plan;
  readonly origins: readonly Origin[];
  readonly lines: ProfileLines;
}

/** As `planResolver`, with the origin of every value. */
export function tracePlan(
  nameOrPath: string,
  caller: Pick<Caller, 'cwd'>,
  paths: Paths,
  options: PlanOptions = {},
): Promise<TracedPlan> {
  return readAndResolve(nameOrPath, caller, paths, { ...options, places: true });
}

async function readAndResolve(
  nameOrPath: string,
  { cwd }: Pick<Caller, 'cwd'>,
  paths: Paths,
  options: PlanOptions,
): Promise<TracedPlan> {
  const found = await findProfile(nameOrPath, cwd, paths);
  const text = await readProfileText(found.file);
  const { profile, lines } = parsed(text, found.file);
  await refuseUntrusted(found, text, profile, paths);
  return { ...(await planAt(profile, found, lines, options)), lines };
}

/**
 * Resolves a profile that a program made itself; relative paths in it begin in the home, or where `options.file` is.
 * @throws PROFILE_INVALID, TIMED_OUT
 */
export async function planOfProfile(profile: Profile, name: string, options: PlanOptions = {}): Promise<Plan> {
  const { file = '' } = options;
  return (await planAt(profile, { name, file }, () => ({ line: 1, column: 1 }), options)).plan;
}

/** What a command needs that does as ssh does. */
export interface AdHocPlan {
  readonly plan: Plan;
  /** What ssh_config and the overrides say about the server. */
  readonly settings: SshSettings;
  /** Expands `~`, variables and tokens of a file name, for that server. @throws RangeError */
  readonly expand: (file: string) => string;
}

/**
 * As `planOfProfile`, with the settings of the server.
 * @param complete adds to the profile what ssh_config says of forwards, which a profile never takes over by itself
 */
export async function adHocPlan(
  profile: Profile,
  options: PlanOptions,
  complete: (profile: Profile, settings: SshSettings) => Profile,
): Promise<AdHocPlan> {
  let settings = NO_SETTINGS;
  const whole = (server: SshSettings): Profile => complete(profile, (settings = server));
  const { plan } = await planAt(profile, { name: 'ssh', file: '' }, () => ({ line: 1, column: 1 }), options, whole);
  const hop = plan.hops.at(-1);
  const { hostKeyAlias, proxyJump } = settings;
  const local = localFacts(options.env ?? process.env);
  const { host = '', port = 22, user = '' } = hop ?? {};
  const original = profile.via?.at(-1)?.host ?? host;
  const tokens = { host, original, port, user, hostKeyAlias, proxyJump: proxyJump ?? '', local };
  return { plan, settings, expand: (file) => expandFile(file, tokens) };
}

/** Every problem of a profile's text, as it stands in the file or is about to: none means that it would come up as written. */
export async function checkProfileText(
  text: string,
  file: string,
  options: PlanOptions = {},
): Promise<readonly Problem[]> {
  const name = basename(file).replace(/\.ya?ml$/, '');
  try {
    const { profile, lines } = parsed(text, file);
    await planAt(profile, { name, file }, lines, options);
    return [];
  } catch (error) {
    if (error instanceof TunnelError && error.problems.length > 0) return error.problems;
    throw error;
  }
}

/** Every problem of a profile's file, one that cannot be read among them. @throws PROFILE_NOT_FOUND, FILE, TIMED_OUT */
export async function validateProfile(file: string, options: PlanOptions = {}): Promise<readonly Problem[]> {
  try {
    return await checkProfileText(await readProfileText(file), file, options);
  } catch (error) {
    if (error instanceof TunnelError && error.problems.length > 0) return error.problems;
    throw error;
  }
}

function parsed(text: string, file: string): { readonly profile: Profile; readonly lines: ProfileLines } {
  const result = parseProfile(text, file);
  if (!result.ok) throw invalid(file, result.problems);
  return result;
}

function invalid(file: string, problems: readonly Problem[]): TunnelError {
  const [first, ...others] = problems;
  const count = others.length === 0 ? '' : ` (and ${others.length} more)`;
  const where = first === undefined ? '' : `line ${first.line}, column ${first.column}: ${first.message}${count}`;
  return new TunnelError('PROFILE_INVALID', `Cannot use the profile ${file === '' ? 'given' : file}: ${where}`, {
    problems,
  });
}

/** A file of a working directory belongs to whoever wrote it: what it may do by itself has bounds. */
async function refuseUntrusted(found: ProfileFile, text: string, profile: Profile, paths: Paths): Promise<void> {
  if (found.origin !== 'project') return;
  const reasons = [...needsTrust(profile), ...(await foreignOwner(found.file))];
  if (reasons.length === 0 || (await isTrusted(found.file, text, paths))) return;
  throw new TunnelError(
    'PROFILE_UNTRUSTED',
    `Cannot use ${found.file} before it is trusted: it ${reasons.join(', ')}`,
    {
      hint: `Read it, then run \`tunnel trust ${found.file}\`.`,
    },
  );
}

/** In a shared folder (/tmp/.tunnel) somebody else could put a profile under a name of ours. */
async function foreignOwner(file: string): Promise<string[]> {
  if (process.platform === 'win32') return [];
  const { uid } = await stat(file);
  return uid === userInfo().uid || uid === 0 ? [] : ['belongs to another user'];
}

async function planAt(
  profile: Profile,
  { name, file }: Pick<ProfileFile, 'name' | 'file'>,
  lines: ProfileLines,
  options: PlanOptions,
  complete: (settings: SshSettings) => Profile = () => profile,
): Promise<Omit<TracedPlan, 'lines'>> {
  const env = options.env ?? process.env;
  const local = localFacts(env);
  const place = { file, ...lines(['via']) };
  const chain = await chainOf(profile, file, local, options).catch((error: unknown) => {
    if (!(error instanceof TunnelError) || error.code !== 'PROFILE_INVALID') throw error;
    const { message, cause, hint } = error;
    throw new TunnelError('PROFILE_INVALID', message, { cause, hint, problems: [{ ...place, message }] });
  });
  const server = chain.hops.at(-1);
  const whole = server === undefined ? profile : complete(server.settings);
  const resolved = resolvePlan(whole, chain, { name, file, local, systemSshDir: systemSshDir(env) });
  if (resolved.ok) return resolved;
  throw invalid(
    file,
    resolved.problems.map(({ path, message }) => ({ file, ...lines(path), message })),
  );
}

async function chainOf(profile: Profile, file: string, local: LocalFacts, options: PlanOptions): Promise<HopChain> {
  const config = await configChoice(profile, file, local);
  const ssh = options.ssh ?? 'ssh';
  const query = async (spec: HopSpec): Promise<SshSettings> => {
    if (config.kind === 'none' && options.overrides === undefined) return NO_SETTINGS;
    const overrides = spec === profile.via?.at(-1) ? (options.overrides ?? []) : [];
    const own = (): Promise<SshSettings> => readWithoutSsh(spec, config, { ...fallbackFacts(local), overrides });
    const answer = await querySsh(spec, { ssh, config, env: local.env, overrides });
    if (answer === undefined) return own();
    const files = answer.userKnownHosts !== null || answer.globalKnownHosts !== null;
    if (!files && options.places !== true) return answer;
    const ours = await own().catch(() => NO_SETTINGS); // ssh could read it: its word stands alone then
    return { ...withWholeFileNames(answer, ours), places: agreedPlaces(answer, ours) };
  };
  return hopChain(profile.via ?? [], query);
}

/**
 * ssh finds the home in the user database and ignores HOME. Where the two differ (sudo, containers, a home for a try-out)
 * everything of ours follows HOME, so ssh is told to read the file there, or none.
 */
async function configChoice({ sshConfig }: Profile, file: string, { home }: LocalFacts): Promise<ConfigChoice> {
  if (sshConfig === 'none') return { kind: 'none' };
  if (sshConfig !== undefined) {
    return { kind: 'file', file: expandHome(sshConfig, home, file === '' ? home : dirname(file)) };
  }
  if (home === userInfo().homedir) return { kind: 'usual' };
  const own = join(home, '.ssh', 'config');
  const there = await access(own).then(
    () => true,
    () => false, // absent, or not ours to read: then it says nothing
  );
  return there ? { kind: 'file', file: own } : { kind: 'none' };
}

function localFacts(env: NonNullable<PlanOptions['env']>): LocalFacts {
  const { username, uid } = userInfo();
  const home = env['HOME'];
  return {
    user: username,
    uid,
    home: home === undefined || home === '' ? pathFacts().home : home,
    hostName: hostname(),
    env,
  };
}

function fallbackFacts({ home, user, env }: LocalFacts): FallbackFacts {
  return { home, user, systemFile: join(systemSshDir(env), 'ssh_config') };
}

function systemSshDir(env: NonNullable<PlanOptions['env']>): string {
  return process.platform === 'win32' ? join(env['ProgramData'] ?? 'C:\\ProgramData', 'ssh') : '/etc/ssh';
}
