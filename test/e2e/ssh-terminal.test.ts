import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask, refuses } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { KEYS, Terminal } from '../support/pty.ts';
import { freePort, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';
import { appendFile } from 'node:fs/promises';

const PASSPHRASE = 'not a secret';

/** A key that only its passphrase opens, and that the server lets in. */
async function lockedKey(sshd: TestSshd): Promise<string> {
  const file = join(sshd.dir, 'locked');
  await makeKey(file, 'ed25519', PASSPHRASE);
  await appendFile(sshd.authorizedKeysFile, await readFile(`${file}.pub`));
  return file;
}

const options = (sshd: TestSshd, key: string, knownHosts = sshd.knownHostsFile): string[] => [
  ...[
    '-F',
    'none',
    '-p',
    String(sshd.port),
    '-o',
    `UserKnownHostsFile=${knownHosts}`,
    '-o',
    'UpdateHostKeys=no',
    '-i',
    key,
  ],
];
const server = ({ user }: TestSshd): string => `${user}@127.0.0.1`;

/** `tunnel ssh` on a terminal; its standard streams may lead elsewhere. */
function terminal(cli: TunnelCli, args: readonly string[], streams = ''): Terminal {
  const line = [process.execPath, TUNNEL, 'ssh', ...args].map((word) => `'${word}'`).join(' ');
  return new Terminal('/bin/sh', ['-c', `${line} ${streams}`], { env: cli.home.env, cwd: cli.home.dir });
}

test('a passphrase is asked for on /dev/tty while stdin and stdout are the data of -W', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const [input, output] = [join(cli.home.dir, 'in'), join(cli.home.dir, 'out')];
  await appendFile(input, 'data from a pipe\n');
  const args = [...options(sshd, await lockedKey(sshd)), '-W', `127.0.0.1:${target.port}`, server(sshd)];
  await using screen = terminal(cli, args, `< ${input} > ${output} 2> /dev/null`);

  await screen.expect(/passphrase/i);
  screen.enter(PASSPHRASE);

  expect(await screen.exit()).toBe(0);
  expect(await readFile(output, 'utf8')).toBe('data from a pipe\n');
  expect(screen.text).not.toContain(PASSPHRASE);
});

test('an unknown host key is asked about with its fingerprint, and recorded for a yes', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const known = join(cli.home.dir, 'known');
  await using screen = terminal(cli, [...options(sshd, sshd.identityFile, known), server(sshd), 'true']);

  await screen.expect(/ED25519 key fingerprint is SHA256:\S+/);
  await screen.expect('(yes/no/fingerprint)');
  screen.enter('yes');

  expect(await screen.exit()).toBe(0);
  expect(await readFile(known, 'utf8')).toContain(`[127.0.0.1]:${sshd.port} ssh-ed25519`);
});

test('-f asks here for the process in the background, and returns once that one listens', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  await using target = await TcpTarget.start(echo);
  const port = await freePort();
  const known = join(cli.home.dir, 'known');
  const args = [...options(sshd, await lockedKey(sshd), known), '-fNM', '-S', join(cli.home.dir, 'ctl')];
  await using screen = terminal(cli, [...args, '-L', `127.0.0.1:${port}:127.0.0.1:${target.port}`, server(sshd)]);

  await screen.expect('(yes/no/fingerprint)');
  screen.enter('yes');
  await screen.expect(/passphrase/i);
  screen.enter(PASSPHRASE);
  const code = await screen.exit();
  const answer = await ask(port, 'hello'); // the terminal is closed: it lives on without one
  await cli.run('ssh', '-F', 'none', '-S', join(cli.home.dir, 'ctl'), '-O', 'exit', 'host');

  expect([code, answer]).toEqual([0, 'hello']);
  await eventually(() => refuses(port));
});

test('-f that is given up at the question leaves nothing behind', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const port = await freePort();
  const args = [...options(sshd, await lockedKey(sshd)), '-fN', '-L', `127.0.0.1:${port}:127.0.0.1:9`];
  await using screen = terminal(cli, [...args, server(sshd)]);

  await screen.expect(/passphrase/i);
  screen.type(KEYS.ctrlC);

  expect(await screen.exit()).not.toBe(0);
  expect(await refuses(port)).toBe(true);
  expect(sshd.logins).toBe(0);
});
