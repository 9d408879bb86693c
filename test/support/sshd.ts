import { spawn, execFile, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';
import { ended, standingStill } from './standing-still.ts';

const run = promisify(execFile);

export interface SshdOptions {
  /** Lines of sshd_config: they stand first, and sshd takes the first value. */
  readonly config?: readonly string[];
  readonly hostKeyTypes?: readonly ('ed25519' | 'ecdsa' | 'rsa')[];
  readonly binary?: string;
  /** Runs the server in this root (needs root): another age of OpenSSH with the libraries that it wants. */
  readonly root?: string | undefined;
}

/** So many ports are tried before a test's server gives up. */
const MOST_PORTS = 5;

/** Debian's own place; another sshd may be named for tests of other versions. */
export const SSHD = process.env['TUNNEL_TEST_SSHD'] ?? '/usr/sbin/sshd';

/**
 * Starts a real OpenSSH server on a free loopback port with keys, log and folder of its own. It lets the current user
 * in with `identityFile`. The caller stops it: `await using sshd = await startSshd()` or `sshd.stop()`.
 */
export async function startSshd(options: SshdOptions = {}): Promise<TestSshd> {
  const root = options.root ?? '';
  const dir = await mkdtemp(join(root === '' ? tmpdir() : join(root, 'tmp'), 'tunnel-sshd-'));
  const types = options.hostKeyTypes ?? ['ed25519'];
  await makeKey(join(dir, 'user_key'), 'ed25519');
  for (const type of types) await makeKey(join(dir, `host_${type}`), type);
  await writeFile(join(dir, 'authorized_keys'), await readFile(join(dir, 'user_key.pub')), { mode: 0o600 });
  // sshd run by root wants its privilege separation folder; the Debian service makes it at boot.
  if (userInfo().uid === 0) await mkdir(join(root, '/run/sshd'), { recursive: true, mode: 0o755 });
  for (let tries = 1; ; tries += 1) {
    const sshd = new TestSshd(dir, options.binary ?? (root === '' ? SSHD : '/usr/sbin/sshd'), await freePort(), root);
    await sshd.configure(options.config ?? [], types);
    try {
      await sshd.start();
      return sshd;
    } catch (error) {
      // Between the look for a free port and the bind, a connection of somebody else may have been given it.
      if (tries === MOST_PORTS || !String(error).includes('Address already in use')) throw error;
    }
  }
}

export class TestSshd {
  readonly dir: string;
  readonly port: number;
  readonly user = userInfo().username;
  /** Private key that logs in; no passphrase. */
  readonly identityFile: string;
  /** A known_hosts file that names this server rightly, on whatever loopback port a test's path reaches it. */
  readonly knownHostsFile: string;
  readonly authorizedKeysFile: string;
  readonly #binary: string;
  readonly #root: string;
  #child: ChildProcess | undefined;
  #log = '';
  readonly #lines: { readonly atMs: number; readonly text: string }[] = [];

  constructor(dir: string, binary: string, port: number, root: string) {
    this.dir = dir;
    this.port = port;
    this.#binary = binary;
    this.#root = root;
    this.identityFile = join(dir, 'user_key');
    this.knownHostsFile = join(dir, 'known_hosts');
    this.authorizedKeysFile = join(dir, 'authorized_keys');
  }

  /** Writes sshd_config anew; takes effect at the next `start`. */
  async configure(extra: readonly string[], hostKeyTypes: readonly string[]): Promise<void> {
    const lines = [
      ...extra,
      `Port ${this.port}`,
      'ListenAddress 127.0.0.1',
      ...hostKeyTypes.map((type) => `HostKey ${this.inside(`host_${type}`)}`),
      `AuthorizedKeysFile ${this.inside('authorized_keys')}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'UseDNS no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'MaxStartups 200:30:400',
      'LogLevel VERBOSE',
    ];
    await writeFile(join(this.dir, 'sshd_config'), `${lines.join('\n')}\n`);
    await this.#writeKnownHosts(hostKeyTypes);
  }

  /** A file of the server's folder under the name that the server itself sees, for its configuration. */
  inside(file: string): string {
    return join(this.dir, file).slice(this.#root.length);
  }

  /** Starts the server on its port and returns once it answers there. */
  async start(): Promise<void> {
    const line = [this.#binary, '-D', '-e', '-f', this.inside('sshd_config')];
    const [command = '', ...args] = this.#root === '' ? line : ['chroot', this.#root, ...line];
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let rest = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
      const atMs = performance.now();
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? ''; // a chunk may end in the middle of a line
      this.#lines.push(...lines.map((line) => ({ atMs, text: line })));
    });
    this.#child = child;
    let gone = false;
    child.once('close', () => (gone = true)); // and not at its exit: what it said about that may come later
    await eventually(
      async () => {
        if (gone) return 'gone';
        return (await answers(this.port)) ? 'there' : undefined;
      },
      { withinMs: 15_000, what: `sshd on port ${this.port}` },
    );
    if (gone) throw new Error(`sshd did not start: ${this.#log}`);
  }

  /** Everything that the server has logged so far. */
  get log(): string {
    return this.#log;
  }

  /** How many logins the server has accepted so far. */
  get logins(): number {
    return this.#log.match(/^Accepted \S+ for /gm)?.length ?? 0;
  }

  /** Whether the server has written that it let somebody in with that key: it does in its own time. */
  accepted(fingerprint: string): boolean {
    return this.#lines.some(({ text }) => text.startsWith('Accepted publickey') && text.includes(fingerprint));
  }

  /** When the server logged lines that match, by `performance.now()`. */
  timesOf(line: RegExp): readonly number[] {
    return this.#lines.filter(({ text }) => line.test(text)).map(({ atMs }) => atMs);
  }

  /** Connections that the server has seen, logged in or not. */
  get connections(): number {
    return this.#log.match(/^Connection from /gm)?.length ?? 0;
  }

  get address(): string {
    return `${this.user}@127.0.0.1:${this.port}`;
  }

  /** Ends the listener and every session, as a server's restart or crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const sessions = await this.#standStill(child.pid); // one that began while we look would live on
    child.kill('SIGKILL');
    signalAll(sessions, 'SIGKILL');
    await Promise.all([exited, ...sessions.map(ended)]);
  }

  /** Ends the sessions and leaves the listener: each client is cut off and may come back at once. */
  async killSessions(): Promise<void> {
    if (this.#child?.pid === undefined) return;
    const sessions = await stopped(this.#child.pid);
    signalAll(sessions, 'SIGKILL');
    await Promise.all(sessions.map(ended));
  }

  /** Stops the server and its sessions without a word on the wire, as a dead route does. */
  async freeze(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    await this.#standStill(pid);
  }

  async thaw(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid !== undefined) signalAll([pid, ...(await descendants(pid))], 'SIGCONT');
  }

  /** Gives the server another host key of that type; takes effect at the next `start`. */
  async changeHostKey(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): Promise<void> {
    const file = join(this.dir, `host_${type}`);
    await rm(file);
    await rm(`${file}.pub`);
    await makeKey(file, type);
  }

  /** Puts another host key in place, as an impostor has it; takes effect at the next `start`. @returns how to put the true one back */
  async impersonate(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): Promise<() => Promise<void>> {
    const file = join(this.dir, `host_${type}`);
    await rename(file, `${file}.true`);
    await rename(`${file}.pub`, `${file}.true.pub`);
    await makeKey(file, type);
    return async () => {
      await rename(`${file}.true`, file);
      await rename(`${file}.true.pub`, `${file}.pub`);
    };
  }

  /** Resident memory and CPU time of the server's processes. */
  async pids(): Promise<readonly number[]> {
    const pid = this.#child?.pid;
    return pid === undefined ? [] : [pid, ...(await descendants(pid))];
  }

  async stop(): Promise<void> {
    await this.thaw();
    await this.kill();
    await rm(this.dir, { recursive: true, force: true, maxRetries: 10 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Stops the listener, so that it takes nobody in any more, and then every session. @returns the sessions */
  async #standStill(pid: number): Promise<readonly number[]> {
    signalAll([pid], 'SIGSTOP');
    await standingStill(pid);
    return stopped(pid);
  }

  async #writeKnownHosts(types: readonly string[]): Promise<void> {
    const keys = await Promise.all(types.map((type) => readFile(join(this.dir, `host_${type}.pub`), 'utf8')));
    const lines = keys.map((key) => `[127.0.0.1]:* ${key.split(' ').slice(0, 2).join(' ')}\n`);
    await writeFile(this.knownHostsFile, lines.join(''), { mode: 0o600 });
  }
}

/** Makes a key pair as `ssh-keygen` does, with a passphrase where one is given. Of RSA a short one: how long the search for a longer one takes is luck. */
export async function makeKey(file: string, type: 'ed25519' | 'ecdsa' | 'rsa', passphrase = ''): Promise<void> {
  const bits = type === 'rsa' ? ['-b', '2048'] : [];
  await run('ssh-keygen', ['-q', '-t', type, ...bits, '-N', passphrase, '-C', 'test', '-f', file]);
}

/** SHA256:… of a key's file, as `ssh-keygen -l` says it. */
export async function fingerprintOf(file: string): Promise<string> {
  const { stdout } = await run('ssh-keygen', ['-l', '-f', file]);
  return stdout.split(' ')[1] ?? '';
}

const [FIRST_PORT, PORTS] = [20_000, 12_768];
/** More than there are test files at a time. */
const LANES = 32;
const lane = Number(process.env['VITEST_POOL_ID'] ?? 0) % LANES;
const given = new Set<number>();

/**
 * A loopback port that was free a moment ago, below those that Linux gives to outgoing connections: while a server is away for a
 * while, nobody's connection takes its port. Test files that run at the same time are given different ones, and none is given
 * twice: a port is often bound long after it was asked for, or never.
 */
export async function freePort(): Promise<number> {
  for (let tries = 1; tries <= 100; tries += 1) {
    const port = FIRST_PORT + lane + LANES * randomInt(Math.floor(PORTS / LANES));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error('No port was free');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('data', () => socket.destroy());
  });
}

/** The processes that this one started, and those that they started. */
export async function descendants(root: number): Promise<readonly number[]> {
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => ''); // it may have ended meanwhile
    const parent = /^\d+ \(.*\) \S (\d+)/s.exec(stat)?.[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const found: number[] = [];
  let ring = [root];
  while (ring.length > 0) {
    ring = [...parents].filter(([, parent]) => ring.includes(parent)).map(([pid]) => pid);
    found.push(...ring);
  }
  return found;
}

/** The processes below this one, all standing still: one may be about to start another, which a single look would miss. */
async function stopped(root: number): Promise<readonly number[]> {
  let known: readonly number[] = [];
  for (;;) {
    const all = await descendants(root);
    const fresh = all.filter((pid) => !known.includes(pid));
    if (fresh.length === 0) return all;
    signalAll(fresh, 'SIGSTOP');
    await Promise.all(fresh.map(standingStill));
    known = all;
  }
}

/** Sends the signal to those of them that are still there. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended by itself
    }
  }
}
