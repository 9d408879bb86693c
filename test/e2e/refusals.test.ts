import { once } from 'node:events';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask, closing, echoes, refuses, talking } from '../support/clients.ts';
import { eventually, observes } from '../support/eventually.ts';
import { freePort, makeKey, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';

/** The parts of one test, not up yet: profile `t` leads to an echo service. */
async function stage(bind = '127.0.0.1:auto') {
  const target = await TcpTarget.start(echo);
  const sshd = await startSshd();
  const cli = await tunnelCli();
  const profile = `${viaSshd(sshd)}forwards:\n  - ${bind} -> 127.0.0.1:${target.port}\n`;
  await cli.home.profile('t', profile);
  return {
    ...{ cli, sshd, target, profile },
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}

const errorOf = (json: string): { code: string; message: string; hint: string; exit: number } =>
  (JSON.parse(json) as { error: { code: string; message: string; hint: string; exit: number } }).error;

test('a key that the server does not know is one refused login, final, with exit 4', async () => {
  await using on = await stage();
  const wrong = join(on.cli.home.dir, 'wrong_key');
  await makeKey(wrong, 'ed25519');
  await on.cli.home.profile('t', on.profile.replace(on.sshd.identityFile, wrong));

  const before = on.sshd.connections;

  const up = await on.cli.run('up', 't', '--json');
  await observes(3_000, () => on.sshd.connections > before + 1, 'a second connection');

  expect({ code: up.code, error: errorOf(up.stdout).code }).toEqual({ code: 4, error: 'LOGIN_REFUSED' });
  expect(await on.cli.status('t')).toMatchObject({ state: 'failed', lastError: { code: 'LOGIN_REFUSED' } });
});

test('an unknown host key with nobody to ask is refused before any login, with exit 5', async () => {
  await using on = await stage();
  await writeFile(on.sshd.knownHostsFile, '');

  const up = await on.cli.run('up', 't', '--json');

  const error = errorOf(up.stdout);
  expect({ code: up.code, error: error.code }).toEqual({ code: 5, error: 'HOST_KEY_UNKNOWN' });
  expect(`${error.message} ${error.hint}`).toMatch(/SHA256:.*tunnel trust/s);
  expect(on.sshd.log).not.toMatch(/Accepted|Failed|publickey for/);
});

test('a changed host key stops a tunnel that was up, names both keys and sends no login', async () => {
  await using on = await stage();
  await on.cli.ok('up', 't');
  await eventually(() => on.sshd.logins === 1, { what: 'the line of the login in the log of the server' });

  await on.sshd.kill();
  await on.sshd.changeHostKey();
  await on.sshd.start();
  const status = await on.cli.becomes('t', 'failed', 10_000);

  expect(status.lastError?.code).toBe('HOST_KEY_CHANGED');
  expect(status.lastError?.message.match(/SHA256:/g)).toHaveLength(2);
  expect(status.lastError?.message).toContain(on.sshd.knownHostsFile);
  expect(on.sshd.logins).toBe(1);
  const seen = on.sshd.connections;
  await observes(2_000, () => on.sshd.connections > seen, 'another connection');
});

test('a busy port is named with its holder, costs no login, and is taken when it is free', async () => {
  const port = await freePort(); // nobody else is given it between the holder and us
  const holder = createServer().listen(port, '127.0.0.1');
  await once(holder, 'listening');
  await using on = await stage(`127.0.0.1:${port}`);

  const startedAt = performance.now();
  const up = await on.cli.run('up', 't', '--json');
  const tookMs = performance.now() - startedAt;
  const loginsMeanwhile = on.sshd.logins;
  holder.close();
  await on.cli.becomes('t', 'up', 10_000);

  expect(up.code).toBe(6);
  expect(errorOf(up.stdout).message).toContain(`pid ${process.pid}`);
  expect(tookMs).toBeLessThan(10_000); // it would try for 30 s
  expect(loginsMeanwhile).toBe(0);
  expect(await ask(port, 'served')).toBe('served');
});

test('a host that is away is tried until --wait ends, then 7, and the tunnel stays wanted', async () => {
  await using on = await stage();
  await on.sshd.kill();

  const up = await on.cli.run('up', 't', '--wait', '4s', '--json');
  await on.sshd.start();

  expect({ code: up.code, error: errorOf(up.stdout).code }).toEqual({ code: 7, error: 'CONNECT_REFUSED' });
  await on.cli.becomes('t', 'up', 10_000);
});

test('a profile that gains a forward is reloaded without a cut in what is open', async () => {
  await using on = await stage();
  await on.cli.ok('up', 't');
  const socket = await talking(await on.cli.port('t'));

  await on.cli.home.profile('t', `${on.profile}  - 127.0.0.1:auto -> localhost:${on.target.port}\n`);
  await on.cli.ok('reload', 't');
  const status = await on.cli.becomes('t', 'up');
  await echoes(socket, 'still the same connection\n');

  expect(status.forwards).toHaveLength(2);
  expect(await ask(await on.cli.port('t', 1), 'the new one')).toBe('the new one');
  expect(on.sshd.logins).toBe(1);
  socket.destroy();
});

test('a wrong profile reports every problem with its place and changes nothing', async () => {
  await using on = await stage();
  await on.cli.ok('up', 't');
  const file = await on.cli.home.profile(
    't',
    `${on.profile}reconect: { initial: 1s }\nkeepalive: { interval: soon }\n`,
  );

  const reload = await on.cli.run('reload', 't');
  const answer = await ask(await on.cli.port('t'), 'as before');

  expect(reload.code).toBe(2);
  expect(reload.stderr).toContain(`${file}:11:1`);
  expect(reload.stderr).toContain('reconnect');
  expect(reload.stderr).toContain(`${file}:12:`);
  expect(answer).toBe('as before');
});

test('a state folder that cannot be written is said once, and tunnels go on', async () => {
  await using on = await stage();
  await on.cli.ok('up', 't');
  const port = await on.cli.port('t');
  const log = join(on.cli.home.stateDir, 'log');
  await on.cli.logged('t', /\bup\b/); // nothing is left to be written while the folder is exchanged

  // A folder where the log's file should be: root's writes fail on it too.
  await chmod(log, 0o700);
  const { rename, mkdir } = await import('node:fs/promises');
  await rename(log, `${log}.old`);
  await writeFile(log, 'in the way');
  await ask(port, 'one');
  await ask(port, 'two');

  expect(await on.cli.status('t')).toMatchObject({ state: 'up' });
  await mkdir(`${log}.old`, { recursive: true });
  expect(await readFile(log, 'utf8')).toBe('in the way');
});

test('nobody but this user gets at the control socket and the state', async () => {
  await using on = await stage();
  await on.cli.ok('up', 't');
  const { stat } = await import('node:fs/promises');
  const run = join(on.cli.home.dir, 'tunnel', 'run');

  const modes = await Promise.all([run, join(run, 'supervisor.sock'), on.cli.home.stateDir].map((path) => stat(path)));

  expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(['700', '600', '700']);
});

test('down lets what is open finish within the drain time, then cuts it; nothing listens afterwards', async () => {
  await using on = await stage();
  await on.cli.ok('up', 't');
  const port = await on.cli.port('t');
  const finishing = await talking(port);
  const staying = await talking(port);
  const cut = closing(staying);

  const down = on.cli.run('down', 't', '--drain', '6s');
  await eventually(() => refuses(port));
  await echoes(finishing, 'the last words\n');
  finishing.end();
  await once(finishing, 'end');
  await cut;

  expect((await down).code).toBe(0);
  expect(await on.cli.status('t')).toMatchObject({ state: 'stopped' });
});
