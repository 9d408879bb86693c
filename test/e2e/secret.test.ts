import { expect, test } from 'vitest';
import { Terminal } from '../support/pty.ts';
import { TUNNEL, tunnelCli } from '../support/tunnel-cli.ts';

// With a keychain: test/root/secret-command.test.ts. Here there is none, as on a server or in a container.

test.each([
  [['secret', 'set', 'password', 'alice@pop.example.org', '--stdin']],
  [['secret', 'rm', 'password', 'alice@pop.example.org']],
  [['secret', 'list']],
])('%j without a keychain says what is missing and what to do', async (args) => {
  await using cli = await tunnelCli();

  const ran = await cli.runWith({ stdin: 'hunter2\n' }, ...args, '--json');

  expect(ran).toMatchObject({ code: 1, stderr: '' });
  const { error } = JSON.parse(ran.stdout) as { error: { code: string; message: string; hint: string } };
  expect(error).toMatchObject({ code: 'SECRET_STORE' });
  expect(error.message).toContain('OS keychain');
  expect(error.hint).not.toBe('');
  expect(ran.stdout).not.toContain('hunter2');
});

test('nobody types a secret for a keychain that is not there', async () => {
  await using cli = await tunnelCli();
  const args = [TUNNEL, 'secret', 'set', 'alice@pop.example.org'];
  await using screen = new Terminal(process.execPath, args, { env: cli.home.env, cwd: cli.home.dir });

  expect(await screen.exit()).toBe(1);
  expect(screen.text).toContain('OS keychain');
  expect(screen.text).not.toContain('Password of');
});

test.each([
  ['a secret as an argument', ['set', 'password', 'alice@pop.example.org', 'hunter2']],
  ['no terminal and no --stdin', ['set', 'password', 'alice@pop.example.org']],
  ['an unknown kind', ['set', 'pin', 'alice@pop.example.org']],
  ['a kind and no subject', ['set', 'password']],
  ['an unknown action', ['keep', 'password', 'a@b']],
  ['an empty secret', ['set', 'password', 'a@b', '--stdin']],
])('%s is a wrong command line', async (_what, args) => {
  await using cli = await tunnelCli();

  const ran = await cli.run('secret', ...args);

  expect(ran.code).toBe(2);
  expect(ran.stderr).not.toContain('hunter2');
});
