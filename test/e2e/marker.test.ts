import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { leaksOf } from '../support/leaks.ts';
import { loginStage, type LoginStage } from '../support/login-stage.ts';
import { Terminal } from '../support/pty.ts';
import { makeKey } from '../support/sshd.ts';
import { TUNNEL } from '../support/tunnel-cli.ts';

const MARKERS = {
  password: 'marker-password-5Lw2',
  passphrase: 'marker-passphrase-8Qz1',
  'TOTP seed': 'MARKERSEEDGNBVGY3TQOJQGEZDGNBV',
  'vault passphrase': 'marker-vault-3Hk9',
};

/** Logs in by key, password and code, all from a vault, once `allowed` holds the key. */
async function stage() {
  const allowed: Buffer[] = [];
  const steps = new WeakMap<object, string>();
  const on = await loginStage((attempt, server) => {
    const connection = server.connections.at(-1) ?? {};
    const step = steps.get(connection) ?? 'publickey';
    if (attempt.method !== step) return attempt.reject([step as 'publickey']);
    if (attempt.method === 'publickey') {
      if (!allowed.some((key) => key.equals(attempt.key.data))) return attempt.reject(['publickey']);
      if (attempt.signature === undefined) return attempt.accept();
      steps.set(connection, 'password');
      return attempt.reject(['password'], true);
    }
    if (attempt.method === 'password') {
      if (attempt.password !== MARKERS.password) return attempt.reject(['password']);
      steps.set(connection, 'keyboard-interactive');
      return attempt.reject(['keyboard-interactive'], true);
    }
    if (attempt.method === 'keyboard-interactive') {
      attempt.prompt([{ prompt: 'Verification code: ', echo: false }], () => attempt.accept());
    }
  });
  const key = join(on.cli.home.dir, 'id');
  await makeKey(key, 'ed25519', MARKERS.passphrase);
  const parsed = ssh2.utils.parseKey(await readFile(`${key}.pub`));
  if (parsed instanceof Error) throw parsed;
  allowed.push(parsed.getPublicSSH());
  const sources = 'secrets: { password: vault, passphrase: vault, totp: vault }\n';
  await on.profile('all', sources, [
    'agent: false',
    `identity: [${key}]`,
    'auth: [publickey, password, keyboard-interactive]',
  ]);
  return Object.assign(on, { key });
}

/** Every word that commands said, by command. */
async function session(on: LoginStage & { readonly key: string }): Promise<Record<string, string>> {
  const said: Record<string, string> = {};
  const terminal = (...args: readonly string[]): Terminal =>
    new Terminal(process.execPath, [TUNNEL, ...args], { env: on.cli.home.env, cwd: on.cli.home.dir });
  const secrets = [
    ['password', 'all', MARKERS.password],
    ['passphrase', on.key, MARKERS.passphrase],
    ['totp', 'all', MARKERS['TOTP seed']],
  ] as const;
  for (const [index, [kind, subject, value]] of secrets.entries()) {
    await using screen = terminal('secret', 'set', kind, subject, '--vault');
    await screen.expect(index === 0 ? 'New passphrase' : 'Passphrase of the vault');
    screen.enter(MARKERS['vault passphrase']);
    if (index === 0) {
      await screen.expect('The same passphrase again');
      screen.enter(MARKERS['vault passphrase']);
    }
    await screen.expect(/(Password|Passphrase|TOTP seed) of (?!the vault)\S{4}/);
    screen.enter(value);
    await screen.expect('Stored the');
    expect(await screen.exit()).toBe(0);
    said[`set ${kind}`] = screen.text;
  }
  await using up = terminal('-v', 'up', 'all');
  await up.expect('Passphrase of the vault');
  up.enter(MARKERS['vault passphrase']);
  await up.expect(/all +.* +up/);
  expect(await up.exit()).toBe(0);
  said['up'] = up.text;
  const wrong = await on.cli.runWith(
    { stdin: MARKERS.password },
    'secret',
    'set',
    'totp',
    'all',
    '--vault',
    '--stdin',
    '--json',
  );
  said['error json'] = wrong.stdout + wrong.stderr;
  for (const args of [
    ['status', '--json'],
    ['logs', '--json'],
    ['secret', 'list', '--vault', '--json'],
    ['-v', 'status'],
  ]) {
    const ran = await on.cli.run(...args);
    said[args.join(' ')] = ran.stdout + ran.stderr;
  }
  return said;
}

test(
  'no secret shows up in processes, files, output, error JSON or what a crash leaves',
  { timeout: 60_000 },
  async () => {
    await using on = await stage();
    const texts = await session(on);
    const home = on.cli.home.dir;
    const places = { texts, folders: [home], processes: home };
    expect(await leaksOf(MARKERS, places)).toEqual([]);

    // What a supervisor that dies of a signal leaves behind, and the one that comes after it says.
    process.kill(await on.cli.supervisorPid(), 'SIGABRT');
    const after = await on.cli.run('status', '--json');
    expect(await leaksOf(MARKERS, { ...places, texts: { ...texts, after: after.stdout + after.stderr } })).toEqual([]);
  },
);

test('and one that is let slip is found, wherever it is', async () => {
  await using on = await stage();
  const home = on.cli.home.dir;
  const child = spawn('sleep', ['60'], { env: { MARK: home, PASSWORD: MARKERS.password } });
  onTestFinished(() => void child.kill());
  await writeFile(join(home, 'log'), Buffer.from(MARKERS.passphrase).toString('hex'));
  const places = { texts: { up: MARKERS['TOTP seed'] }, folders: [home], processes: home };
  const found = await eventually(async () => {
    const leaks = await leaksOf(MARKERS, places);
    return leaks.length === 3 ? leaks : undefined;
  });
  expect(found).toEqual([`TOTP seed in up`, `passphrase in ${home}/log`, `password in environ of ${child.pid ?? 0}`]);
});
