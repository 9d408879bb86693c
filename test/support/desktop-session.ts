import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';

/** A desktop session of a test's own: a D-Bus, and a gnome-keyring once it is started. The caller ends it: `await using`. */
export class DesktopSession {
  /** A folder of its own, where the keychain keeps its data. */
  readonly dir: string;
  /** The environment of a program in the session. */
  readonly env: Readonly<Record<string, string>>;
  readonly #bus: ChildProcess;
  #keyring: ChildProcess | undefined;

  private constructor(dir: string, env: Readonly<Record<string, string>>, bus: ChildProcess) {
    this.dir = dir;
    this.env = env;
    this.#bus = bus;
  }

  static async start(): Promise<DesktopSession> {
    const dir = await mkdtemp(join(tmpdir(), 'tunnel-keyring-'));
    const env = { PATH: process.env['PATH'] ?? '', HOME: dir, XDG_RUNTIME_DIR: dir, XDG_DATA_HOME: join(dir, 'data') };
    const bus = spawn('dbus-daemon', ['--session', '--nofork', '--print-address'], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [address] = (await once(createInterface(bus.stdout), 'line')) as [string];
    return new DesktopSession(dir, { ...env, DBUS_SESSION_BUS_ADDRESS: address }, bus);
  }

  /** Starts the keychain, unlocked by this password; without one it stays locked. Resolves once it serves. */
  async startKeyring(password?: string): Promise<void> {
    const unlock = password === undefined ? [] : ['--unlock'];
    const args = ['--foreground', '--components=secrets', ...unlock];
    const keyring = spawn('gnome-keyring-daemon', args, { env: this.env, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#keyring = keyring;
    keyring.stdin.end(password ?? '');
    await eventually(() => this.#servesSecrets(), { withinMs: 10_000, what: 'the keychain on the bus' });
  }

  /** Holds still, as a keychain whose dialog waits somewhere unseen. */
  freezeKeyring(): void {
    this.#keyring?.kill('SIGSTOP');
  }

  thawKeyring(): void {
    this.#keyring?.kill('SIGCONT');
  }

  async endKeyring(): Promise<void> {
    const keyring = this.#keyring;
    this.#keyring = undefined;
    if (keyring !== undefined) await end(keyring);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endKeyring();
    await end(this.#bus);
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Asks the bus without waking anybody: to address the service itself would start a second one. */
  async #servesSecrets(): Promise<boolean> {
    const bus = ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus'];
    const question = ['org.freedesktop.DBus.NameHasOwner', 'string:org.freedesktop.secrets'];
    const { stdout } = await promisify(execFile)('dbus-send', [...bus, ...question], { env: this.env });
    return stdout.includes('boolean true');
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
