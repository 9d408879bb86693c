// debian: gnome-keyring dbus-daemon dbus-bin libsecret-1-0
import { expect, test } from 'vitest';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { Terminal } from '../support/pty.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** A desktop session with an unlocked keychain around a line of shell, in which $TUNNEL is the command. */
function session(cli: TunnelCli, line: string): { args: string[]; env: Record<string, string> } {
  const unlock = 'printf pw | gnome-keyring-daemon --unlock --components=secrets > /dev/null';
  return {
    args: ['--', 'sh', '-c', `${unlock}; ${line}`],
    env: { ...cli.home.env, XDG_RUNTIME_DIR: cli.home.dir, TUNNEL: `${process.execPath} ${TUNNEL}` },
  };
}

async function run(cli: TunnelCli, line: string): Promise<string> {
  const { args, env } = session(cli, line);
  const child = spawn('dbus-run-session', args, { env, cwd: cli.home.dir, stdio: ['ignore', 'pipe', 'ignore'] });
  return text(child.stdout);
}

test('a secret is stored from stdin, listed, and removed', async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('mail', 'via: bob@127.0.0.1:2222\nsshConfig: none\nforwards: [ 1113:a:113 ]\n');

  const printed = await run(
    cli,
    [
      'printf "hunter2\\n" | $TUNNEL secret set password alice@pop.example.org --stdin',
      'printf hunter3 | $TUNNEL secret set mail --stdin',
      'printf hunter4 | $TUNNEL secret set keys/id_mail --stdin',
      '$TUNNEL secret list',
      '$TUNNEL secret rm passphrase keys/id_mail',
      '$TUNNEL secret rm password alice@pop.example.org',
      '$TUNNEL secret list --json',
      '$TUNNEL secret rm password alice@pop.example.org; echo "ended with $?"',
    ].join('\n'),
  );

  const [list, json] = printed.split(/(?=^\{)/m);
  expect(list?.trim().split('\n').sort()).toEqual([
    `passphrase  ${cli.home.dir}/keys/id_mail`,
    'password    alice@pop.example.org:22',
    'password    bob@127.0.0.1:2222',
  ]);
  expect(JSON.parse(json?.replace(/ended with.*/s, '') ?? '')).toEqual({
    version: 1,
    backend: 'OS keychain',
    secrets: [{ kind: 'password', subject: 'bob@127.0.0.1:2222' }],
  });
  expect(json).toContain('ended with 1');
});

test('a secret typed at the prompt is stored and never shown', async () => {
  await using cli = await tunnelCli();
  const { args, env } = session(cli, '$TUNNEL secret set alice@pop.example.org && $TUNNEL secret list');
  await using screen = new Terminal('dbus-run-session', args, { env, cwd: cli.home.dir });

  await screen.expect('Password of alice@pop.example.org:22:', 15_000);
  screen.enter('hunter2');
  await screen.expect('Stored the password of alice@pop.example.org:22 in the OS keychain');
  await screen.expect(/password +alice@pop\.example\.org:22/);

  expect(await screen.exit()).toBe(0);
  expect(screen.text).not.toContain('hunter2');
});
