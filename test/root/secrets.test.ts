// debian: gnome-keyring dbus-daemon dbus-bin libsecret-1-0
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';

const script = fileURLToPath(new URL('../support/keychain-process.ts', import.meta.url));
const tsx = import.meta.resolve('tsx');

/** A desktop session's keychain of its own: a D-Bus and a gnome-keyring that belong to one test. */
let home: string;
let env: Record<string, string>;
let bus: ChildProcess;
let keyring: ChildProcess | undefined;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tunnel-keyring-'));
  env = { PATH: process.env['PATH'] ?? '', HOME: home, XDG_RUNTIME_DIR: home, XDG_DATA_HOME: join(home, 'data') };
  bus = spawn('dbus-daemon', ['--session', '--nofork', '--print-address'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  if (bus.stdout === null) throw new Error('The D-Bus has no output');
  const [address] = (await once(createInterface(bus.stdout), 'line')) as [string];
  env['DBUS_SESSION_BUS_ADDRESS'] = address;
});
afterEach(async () => {
  if (keyring !== undefined) await end(keyring);
  keyring = undefined;
  await end(bus);
  await rm(home, { recursive: true, force: true });
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Starts the keychain, unlocked by this password; without one it stays locked. Resolves once it serves. */
async function startKeyring(password?: string): Promise<ChildProcess> {
  const unlock = password === undefined ? [] : ['--unlock'];
  const args = ['--foreground', '--components=secrets', ...unlock];
  keyring = spawn('gnome-keyring-daemon', args, { env, stdio: ['pipe', 'ignore', 'ignore'] });
  keyring.stdin?.end(password ?? '');
  await eventually(servesSecrets, { withinMs: 10_000, what: 'the keychain on the bus' });
  return keyring;
}

/** Asks the bus without waking anybody: to address the service itself would start a second one. */
async function servesSecrets(): Promise<boolean> {
  const bus = ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus'];
  const question = ['org.freedesktop.DBus.NameHasOwner', 'string:org.freedesktop.secrets'];
  const { stdout } = await promisify(execFile)('dbus-send', [...bus, ...question], { env });
  return stdout.includes('boolean true');
}

async function keychain(...args: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, ['--import', tsx, script, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await once(child, 'close');
  return JSON.parse(printed) as unknown;
}

const refused = (why: string): object => ({
  error: { code: 'SECRET_STORE', message: expect.stringContaining(why) as string },
});

describe('gnome-keyring', () => {
  test('keeps a secret, lists it, and forgets it', async () => {
    await startKeyring('pw');
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
    expect(await keychain('5000', 'set', 'a@b:22', 'hünter 2')).toEqual({ result: 'stored' });
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: 'hünter 2' });
    expect(await keychain('5000', 'list')).toEqual({ result: [{ kind: 'password', subject: 'a@b:22' }] });
    expect(await keychain('5000', 'delete', 'a@b:22')).toEqual({ result: true });
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
  });

  test('that is locked is an ordinary answer, in time', async () => {
    const unlocked = await startKeyring('pw');
    await keychain('5000', 'set', 'a@b:22', 'hunter2');
    await end(unlocked);
    await startKeyring();
    // libsecret tells a locked keychain from one without the secret only where it can show a dialog: a person is asked.
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
    expect(await keychain('5000', 'set', 'c@d:22', 'x')).toMatchObject({ error: { code: 'SECRET_STORE' } });
  });

  test('that is frozen is given up in time, and the command ends at once', async () => {
    const running = await startKeyring('pw');
    running.kill('SIGSTOP');
    const startedMs = performance.now();
    expect(await keychain('1000', 'get', 'a@b:22')).toMatchObject(refused('did not answer within 1 s'));
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    running.kill('SIGCONT');
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
  });
});

test('a session without a keychain service is an ordinary answer', async () => {
  env['DBUS_SESSION_BUS_ADDRESS'] = 'unix:path=/nonexistent';
  expect(await keychain('5000', 'get', 'a@b:22')).toMatchObject(refused('no desktop session'));
});
