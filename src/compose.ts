import { dirname } from 'node:path';
import { composeEngine } from './compose-engine.ts';
import { planResolver } from './compose-plan.ts';
import { appendKnownHost } from './files/known-hosts-append.ts';
import { readKnownHosts } from './files/known-hosts.ts';
import { packageVersion } from './files/own-package.ts';
import { appPaths, pathFacts, type Paths } from './files/paths.ts';
import { ensurePrivateFolder } from './files/private-folder.ts';
import { listProfiles, readProfileText } from './files/profiles.ts';
import { StateFile } from './files/state.ts';
import { UsedCodesFile } from './files/used-codes.ts';
import { ListeningSockets } from './forward/listen/listening-sockets.ts';
import type { Dial } from './link/transport.ts';
import { TunnelError } from './model/failure.ts';
import { NOTHING_UNLOCKED, type Estate } from './model/handover.ts';
import type { PortMapper } from './model/mapping.ts';
import type { Plan } from './model/plan.ts';
import { EventLog } from './observe/log.ts';
import type { ReadSecret } from './secrets/read.ts';
import { parseProfile } from './profile/parse.ts';
import { bindConflicts } from './plan/conflicts.ts';
import type { KeyRing } from './ssh/keys/key-ring.ts';
import type { NoteLevel, SupervisorDeps } from './supervisor/deps.ts';
import { TunnelSupervisor } from './supervisor/supervisor.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Say = (level: NoteLevel, message: string) => void;

export interface ComposeOptions {
  /** Says where things live (TUNNEL_HOME, the XDG variables) and which agent there is. Default: that of the process. */
  readonly env?: Env;
  /** The places themselves. Default: by `env`. */
  readonly paths?: Paths;
  /** Shown by `snapshot`. Default: the package's own. */
  readonly version?: string;
  /** What a supervisor before this one has left. Default: nothing. */
  readonly estate?: Estate;
  /** Keep the log file in the state folder. Default: true. */
  readonly log?: boolean;
}

/**
 * The real parts of a supervisor, wired: `new TunnelSupervisor(compose())`. Reads nothing of the home and opens nothing
 * yet; what speaks SSH is loaded at the first dial.
 */
export function compose({
  env = process.env,
  paths = appPaths(pathFacts(env)),
  ...options
}: ComposeOptions = {}): SupervisorDeps {
  const notes = new Notes();
  const secrets = lazily(() => loadSecrets(paths, env, (message) => notes.say('warn', message)));
  const mapper = lazily(() => loadMapper(paths, (message) => notes.say('warn', message)));
  const { estate = NO_ESTATE } = options;
  let keyRing: KeyRing | undefined;
  const loadSsh = async (): Promise<Dial> => {
    const { KeyRing } = await import('./ssh/keys/key-ring.ts');
    keyRing ??= new KeyRing(estate.unlocked);
    return loadDial(secrets, paths, keyRing);
  };
  const engine = composeEngine({ loadDial: loadSsh, loadMapper: mapper });
  const { clock } = engine;
  const { logFile } = paths;
  return {
    ...engine,
    version: options.version ?? packageVersion(),
    resolve: planResolver(paths, { env }),
    listNames: profileLister(paths),
    refuseConflicts,
    readPassword: async (subject, source) => {
      const deadline = AbortSignal.timeout(PASSWORD_DEADLINE_MS);
      return (await secrets())({ kind: 'password', subject }, source, deadline, nobody);
    },
    estate: {
      sockets: new ListeningSockets(estate.sockets),
      unlocked: () => keyRing?.unlocked ?? estate.unlocked,
      serverBinds: estate.serverBinds,
    },
    store: new StateFile(paths.wantedFile),
    log:
      options.log === false
        ? null
        : new EventLog({
            path: logFile,
            clock,
            makeFolder: () => ensurePrivateFolder(dirname(logFile)),
            onProblem: (message) => notes.say('error', message),
          }),
    onNotes: (say) => notes.listen(say),
    authSock: env['SSH_AUTH_SOCK'],
  };
}

/** The supervisor of this home, as the daemon and `--foreground` run it. Nothing is restored yet. */
export function makeSupervisor(paths: Paths, version: string, env: Env, estate = NO_ESTATE): TunnelSupervisor {
  return new TunnelSupervisor(compose({ paths, version, env, estate }));
}

const NO_ESTATE: Estate = { sockets: [], serverBinds: {}, unlocked: NOTHING_UNLOCKED };

/**
 * Loads all that a supervisor loads when it needs it first: an update may replace the files beneath one that runs, and what
 * it would read then were another version, or not there. What does not load is told by whoever needs it, and not here.
 */
export async function loadAll(): Promise<void> {
  await Promise.allSettled([
    import('./ssh/dial.ts'),
    import('./ssh/compat/ml-kem.ts').then(({ readMlKem }) => readMlKem()),
    import('./compose-secrets.ts'),
    import('./secrets/keychain.ts'),
    import('./ssh/keys/key-ring.ts'),
    import('./compose-router.ts'),
  ]);
}

/** A vault that is locked is opened by a login, a key file or `tunnel secret`; a proxy's client is no person to ask. */
const nobody = (): Promise<never> =>
  Promise.reject(new TunnelError('SECRET_STORE', 'Cannot read the password for proxy clients: the vault is locked'));

/** A `command` that never answers must not keep a proxy's clients waiting for ever. */
const PASSWORD_DEADLINE_MS = 30_000;

/** Called again after it failed, never again once it served. */
function lazily<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
}

async function loadSecrets(paths: Paths, env: Env, onNote: (message: string) => void): Promise<ReadSecret> {
  const [{ storedSecrets }, { DAEMON_DEADLINE_MS }] = await Promise.all([
    import('./compose-secrets.ts'),
    import('./secrets/keychain.ts'),
  ]);
  return storedSecrets({ paths, env, keychainMs: DAEMON_DEADLINE_MS, onNote });
}

async function loadDial(secrets: () => Promise<ReadSecret>, paths: Paths, keyRing: KeyRing): Promise<Dial> {
  const [{ createDial }, readSecret] = await Promise.all([import('./ssh/dial.ts'), secrets()]);
  return createDial({
    readSecret,
    keyRing,
    hostKeys: { read: readKnownHosts, append: appendKnownHost },
    usedCodes: new UsedCodesFile(paths.usedCodesFile),
  });
}

async function loadMapper(paths: Paths, onNote: (message: string) => void): Promise<PortMapper> {
  const { composeRouter } = await import('./compose-router.ts');
  return composeRouter({ paths, onNote });
}

function profileLister(paths: Paths): SupervisorDeps['listNames'] {
  return async (tag, { cwd }) => {
    const found = await listProfiles(cwd, paths);
    if (tag === undefined) return found.map(({ name }) => name);
    const named = await Promise.all(found.map(async ({ name, file }) => ((await mayHaveTag(file, tag)) ? [name] : [])));
    return named.flat();
  };
}

/** A profile with mistakes that speaks of the tag counts: its mistakes are told then, rather than the profile left out. */
async function mayHaveTag(file: string, tag: string): Promise<boolean> {
  try {
    const text = await readProfileText(file);
    const parsed = parseProfile(text, file);
    return parsed.ok ? parsed.profile.tags?.includes(tag) === true : text.includes(tag);
  } catch (error) {
    if (error instanceof TunnelError) return false; // what cannot be read has no tags
    throw error;
  }
}

/** @throws PROFILE_CONFLICT that names every clash */
function refuseConflicts(plans: readonly Plan[]): void {
  const clashes = bindConflicts(plans).map(
    ({ first, second, bind }) =>
      `${second.plan} (${second.forward}) and ${first.plan} (${first.forward}) both want ${bind}`,
  );
  if (clashes.length > 0) throw new TunnelError('PROFILE_CONFLICT', `Cannot run these together: ${clashes.join('; ')}`);
}

/** What parts have to say before somebody listens is kept for them: it is little, and it matters. */
class Notes {
  #listener: Say | undefined;
  #waiting: [NoteLevel, string][] = [];

  say(level: NoteLevel, message: string): void {
    if (this.#listener === undefined) this.#waiting.push([level, message]);
    else this.#listener(level, message);
  }

  listen(listener: Say): void {
    this.#listener = listener;
    for (const [level, message] of this.#waiting.splice(0)) listener(level, message);
  }
}
