import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { KEYS, Terminal } from '../support/pty.ts';
import { freePort, makeKey, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const PASSPHRASE = 'correct horse';

/** A real server that lets in two keys, one of them encrypted, an echo behind it, and a profile for each. */
async function stage() {
  const [target, sshd, cli] = [await TcpTarget.start(echo), await startSshd(), await tunnelCli()];
  const locked = `${sshd.dir}/locked_key`;
  await makeKey(locked, 'ed25519', PASSPHRASE);
  const keys = await Promise.all([sshd.authorizedKeysFile, `${locked}.pub`].map((file) => readFile(file, 'utf8')));
  await writeFile(sshd.authorizedKeysFile, keys.join(''));
  const port = await freePort();
  const forwards = `forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n`;
  await cli.home.profile('locked', viaSshd(sshd).replace(sshd.identityFile, locked) + forwards);
  await cli.home.profile('plain', `description: needs nobody\n${viaSshd(sshd)}${forwards}`);
  return {
    cli,
    sshd,
    port,
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}

function terminal(cli: TunnelCli, ...args: readonly string[]): Terminal {
  return new Terminal(process.execPath, [TUNNEL, ...args], { env: cli.home.env, cwd: cli.home.dir });
}

test('up without a name offers a picker', async () => {
  await using on = await stage();
  await using screen = terminal(on.cli, 'up');
  await screen.expect('Which tunnels?');
  await screen.expect('plain  needs nobody');
  screen.type(KEYS.down + KEYS.space + KEYS.enter);
  await screen.expect(/plain +127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ +up/);
  expect(await screen.exit()).toBe(0);
});

describe('a question of a login', () => {
  test('is put to the person at up, and the typing stays hidden', async () => {
    await using on = await stage();
    await using screen = terminal(on.cli, 'up', 'locked');
    await screen.expect(/[Pp]assphrase/);
    screen.enter(PASSPHRASE);
    await screen.expect(/locked +.* +up/);
    expect(await screen.exit()).toBe(0);
    expect(screen.text).not.toContain(PASSPHRASE);
    expect(await ask(on.port, 'hello')).toBe('hello');
  });

  test('about an unknown host shows its fingerprint, which may be typed for yes, and remembers it', async () => {
    await using on = await stage();
    await writeFile(on.sshd.knownHostsFile, '');
    await using screen = terminal(on.cli, 'up', 'plain');
    const fingerprint = await screen.expect(/SHA256:[\w+/]{43}/);
    await screen.expect('from now on?');
    screen.enter();
    await screen.expect('Please type yes, no or the fingerprint.');
    screen.enter(fingerprint);
    await screen.expect(/plain +.* +up/);
    expect(await screen.exit()).toBe(0);
    expect(await readFile(on.sshd.knownHostsFile, 'utf8')).toContain('ssh-ed25519');
  });

  test('no to an unknown host is 5, and nothing is remembered', async () => {
    await using on = await stage();
    await writeFile(on.sshd.knownHostsFile, '');
    await using screen = terminal(on.cli, 'up', 'plain');
    await screen.expect('from now on?');
    screen.enter('no');
    expect(await screen.exit()).toBe(5);
    expect(await readFile(on.sshd.knownHostsFile, 'utf8')).toBe('');
  });

  test('Ctrl-C in it withdraws the tunnel and ends with 130', async () => {
    await using on = await stage();
    await using screen = terminal(on.cli, 'up', 'locked');
    await screen.expect(/[Pp]assphrase/);
    screen.type(KEYS.ctrlC);
    expect(await screen.exit()).toBe(130);
    expect(screen.text).toContain('withdrawn: locked');
    expect((await on.cli.snapshot()).tunnels).toEqual([]);
  });

  test('with nobody there makes up end with 4; other commands mention it, and answer asks it', async () => {
    await using on = await stage();
    const { cli } = on;
    const up = await cli.run('up', 'locked');
    expect({ code: up.code, says: up.stderr.includes('tunnel answer') }).toEqual({ code: 4, says: true });
    expect((await cli.status('locked')).state).toBe('waiting');
    expect((await cli.run('answer')).code).toBe(4);

    await using status = terminal(cli, 'status');
    await status.expect('locked waits for an answer: tunnel answer');
    expect(await status.exit()).toBe(0);

    await using answer = terminal(cli, 'answer');
    await answer.expect(/[Pp]assphrase/);
    answer.enter(PASSPHRASE);
    await answer.expect(/locked +.* +up/);
    expect(await answer.exit()).toBe(0);
  });
});

test('colours are for a terminal, and NO_COLOR is heard', { timeout: 20_000 }, async () => {
  await using on = await stage();
  const { home } = on.cli;
  const raw = async (env: Record<string, string>): Promise<boolean> => {
    const options = { env: { ...home.env, ...env }, cwd: home.dir };
    await using screen = new Terminal(process.execPath, [TUNNEL, 'list'], options);
    await screen.exit();
    return screen.raw.includes('\x1b[');
  };
  expect([await raw({}), await raw({ NO_COLOR: '1' })]).toEqual([true, false]);
  expect((await on.cli.ok('list')).stdout).not.toContain('\x1b');
});

test('status --watch draws the table anew when something happens', async () => {
  await using on = await stage();
  await using screen = terminal(on.cli, 'status', '--watch');
  await screen.expect('No tunnel is running.');
  await on.cli.ok('up', 'plain');
  await screen.expect(/plain +up/);
  screen.type(KEYS.ctrlC);
  expect(await screen.exit()).toBe(130);
});

test('a question on two terminals is answered on one, and leaves the other', async () => {
  await using on = await stage();
  await using first = terminal(on.cli, 'up', 'locked');
  await first.expect(/[Pp]assphrase/);
  await using second = terminal(on.cli, 'up', 'locked');
  await second.expect(/[Pp]assphrase/);
  first.enter(PASSPHRASE);
  await second.expect('answered elsewhere');
  expect(await Promise.all([first.exit(), second.exit()])).toEqual([0, 0]);
});

test('a closed terminal withdraws what was not up yet', async () => {
  await using on = await stage();
  const screen = terminal(on.cli, 'up', 'locked');
  await screen.expect(/[Pp]assphrase/);
  screen.hangUp();
  await screen.exit();
  await eventually(async () => (await on.cli.snapshot()).tunnels.length === 0);
});
