import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Where everything of one home lives. One supervisor serves one such home. */
export interface Paths {
  /** Settings of the person: `profiles/` is in it. */
  readonly configDir: string;
  readonly profilesDir: string;
  /** Lock, what was wanted, kept ports, logs. */
  readonly stateDir: string;
  readonly logFile: string;
  readonly lockFile: string;
  readonly wantedFile: string;
  /** Which one-time codes were used. */
  readonly usedCodesFile: string;
  /** Random bytes by which a router knows our mappings. */
  readonly mappingSeedFile: string;
  /** Secrets, encrypted, in a folder of their own. */
  readonly vaultFile: string;
  /** Keys that `tunnel authorize` makes, one for each profile. */
  readonly keysDir: string;
  /** Folder of the control socket; 0700 and ours, or it is not used. '' where the system has named pipes instead. */
  readonly runDir: string;
  /** The control socket's path, short enough for the system, or a pipe's name on Windows. */
  readonly socket: string;
}

export interface PathFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly uid: number;
  readonly tmp: string;
}

/** The facts of this process, as `appPaths` wants them. */
export function pathFacts(env: PathFacts['env'] = process.env): PathFacts {
  return { env, platform: process.platform, home: homedir(), uid: process.geteuid?.() ?? -1, tmp: tmpdir() };
}

/** Reads TUNNEL_HOME, the XDG variables and the platform's customs; touches no disk. */
export function appPaths(facts: PathFacts = pathFacts()): Paths {
  const { configDir, stateDir, runDir } = folders(facts);
  return {
    configDir,
    profilesDir: join(configDir, 'profiles'),
    stateDir,
    logFile: join(stateDir, 'log', 'tunnel.jsonl'),
    lockFile: join(stateDir, 'supervisor.lock'),
    wantedFile: join(stateDir, 'wanted.json'),
    usedCodesFile: join(stateDir, 'used-codes.json'),
    mappingSeedFile: join(stateDir, 'mapping-seed'),
    vaultFile: join(configDir, 'secrets', 'vault.json'),
    keysDir: join(configDir, 'keys'),
    ...controlPlace(facts, stateDir, runDir),
  };
}

function folders({ env, platform, home }: PathFacts): { configDir: string; stateDir: string; runDir: string } {
  const own = env['TUNNEL_HOME'];
  if (own !== undefined && own !== '') {
    const root = resolve(own);
    return { configDir: root, stateDir: join(root, 'state'), runDir: join(root, 'run') };
  }
  const [config, state] = platformPlaces(env, platform, home);
  const stateDir = join(state, 'tunnel');
  const runtime = absolute(env['XDG_RUNTIME_DIR']);
  return {
    configDir: join(config, 'tunnel'),
    stateDir,
    runDir: runtime === undefined ? join(stateDir, 'run') : join(runtime, 'tunnel'),
  };
}

/** Roots of configuration and state. An XDG variable counts only when absolute, as its specification says. */
function platformPlaces(env: PathFacts['env'], platform: NodeJS.Platform, home: string): [string, string] {
  const config = absolute(env['XDG_CONFIG_HOME']);
  const state = absolute(env['XDG_STATE_HOME']);
  if (platform === 'darwin') {
    const support = join(home, 'Library', 'Application Support');
    return [config ?? support, state ?? support];
  }
  if (platform === 'win32') {
    return [env['APPDATA'] ?? join(home, 'AppData', 'Roaming'), env['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local')];
  }
  return [config ?? join(home, '.config'), state ?? join(home, '.local', 'state')];
}

/** Bytes of a socket path that every Unix takes: macOS and the BSDs have 104 with the NUL, Linux 108. */
export const LONGEST_SOCKET_PATH = 103;

function controlPlace(facts: PathFacts, stateDir: string, runDir: string): { runDir: string; socket: string } {
  if (facts.platform === 'win32') return { runDir: '', socket: `\\\\.\\pipe\\tunnel-${digest(stateDir)}` };
  const socket = join(runDir, 'supervisor.sock');
  if (Buffer.byteLength(socket) <= LONGEST_SOCKET_PATH) return { runDir, socket };
  const shortDir = join(facts.tmp, `tunnel-${facts.uid}-${digest(stateDir)}`);
  return { runDir: shortDir, socket: join(shortDir, 's') };
}

/** Few homes need it, and loading `node:crypto` for the others is a tenth of what `tunnel status` takes. */
function digest(text: string): string {
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function absolute(path: string | undefined): string | undefined {
  return path !== undefined && path.startsWith('/') ? path : undefined;
}
