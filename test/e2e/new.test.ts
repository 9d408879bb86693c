import { copyFile, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEYS, Terminal } from '../support/pty.ts';
import { freePort, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const LINE = 'ssh -N -L 1113:pop.example.org:113 alice@pop.example.org';

describe('new --from', () => {
  test('writes the profile that the line says, with the line for editors on top', async () => {
    await using cli = await tunnelCli();

    const ran = await cli.run('new', 'pop-mail', '--from', LINE);

    const file = join(cli.home.profilesDir, 'pop-mail.yaml');
    const [schema, ...rest] = (await readFile(file, 'utf8')).split('\n');
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain('tunnel up pop-mail');
    expect(schema).toMatch(/^# yaml-language-server: \$schema=\S+profile\.schema\.json$/);
    expect(rest).toEqual(['via: alice@pop.example.org', 'forwards:', '  - localhost:1113 -> pop.example.org:113', '']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test('names the profile after its server where no name is given', async () => {
    await using cli = await tunnelCli();

    const first = await cli.run('new', '--json', '--from', LINE);
    const second = await cli.run('new', '--json', '--from', LINE);

    const files = ['pop', 'pop-2'].map((name) => ({
      version: 1,
      name,
      file: join(cli.home.profilesDir, `${name}.yaml`),
    }));
    expect([first, second].map(({ stdout }) => JSON.parse(stdout) as unknown)).toEqual(files);
  });

  test('replaces a profile only with --force', async () => {
    await using cli = await tunnelCli();
    const file = await cli.home.profile('pop-mail', 'mine\n');

    const refused = await cli.run('new', 'pop-mail', '--json', '--from', LINE);
    const before = await readFile(file, 'utf8');
    const forced = await cli.run('new', 'pop-mail', '--force', '--from', LINE);

    expect(refused).toMatchObject({ code: 2, stderr: '' });
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'USAGE', exit: 2 } });
    expect(before).toBe('mine\n');
    expect(forced.code).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('via: alice@pop.example.org');
  });

  test.each([
    ['a remote command', 'ssh -L 1113:a:113 h uptime'],
    ['no forward', 'ssh h'],
    ['two forwards on one port', 'ssh -L 1113:a:113 -L 1113:b:113 h'],
  ])('refuses %s and writes nothing', async (_what, line) => {
    await using cli = await tunnelCli();

    const ran = await cli.run('new', 'x', '--from', line);

    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(/Cannot |binds already/);
    expect(await readdir(cli.home.dir)).toEqual([]);
  });

  test('says what ssh would do and the profile does not', async () => {
    await using cli = await tunnelCli();

    const ran = await cli.run('new', 'x', '--from', 'ssh -4 -L 1113:a:113 h');

    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stderr).toContain('-4 is not kept');
  });
});

test('new without a terminal says what to do instead', async () => {
  await using cli = await tunnelCli();

  const ran = await cli.run('new');

  expect(ran.code).toBe(2);
  expect(ran.stderr).toContain('--from');
});

describe('the wizard', () => {
  test('trusts the host, logs in, offers POP3 and writes a profile that comes up', { timeout: 40_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    await giveKey(cli, sshd);
    await rm(join(cli.home.dir, '.ssh', 'known_hosts'));
    await using screen = wizard(cli);

    await screen.expect('SSH server:');
    screen.enter(`${sshd.user}@127.0.0.1:${sshd.port}`);
    await screen.expect(/ED25519 key fingerprint is SHA256:\S+/);
    await screen.expect('Trust this key');
    screen.enter('yes');
    await screen.expect(/✓ Logged in at \S+/);
    await screen.expect('What should be reachable');
    screen.enter(); // mail
    await screen.expect('POP3 (110)');
    screen.enter(); // POP3, which is marked
    await screen.expect('POP3 host');
    screen.enter('localhost');
    await screen.expect('Local port for POP3');
    const port = await freePort();
    screen.type('\x15'); // whatever stands there
    screen.enter(String(port));
    await screen.expect('Another one?');
    screen.enter();
    await screen.expect('Name of the profile');
    screen.enter('pop-mail');
    await screen.expect('Description');
    screen.enter();
    await screen.expect('tunnel up pop-mail');
    expect(await screen.exit()).toBe(0);

    const text = await readFile(join(cli.home.profilesDir, 'pop-mail.yaml'), 'utf8');
    expect(text.split('\n').slice(1)).toEqual([
      'description: POP3 at localhost',
      `via: ${sshd.user}@127.0.0.1:${sshd.port}`,
      'forwards:',
      `  - localhost:${port} -> localhost:110`,
      '',
    ]);
    await cli.ok('up', 'pop-mail');
    expect((await cli.status('pop-mail')).state).toBe('up');
  });

  test('asks for a passphrase there and then, and never shows it', async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    await giveKey(cli, sshd, 'open sesame');
    await using screen = wizard(cli);

    await screen.expect('SSH server:');
    screen.enter(`${sshd.user}@127.0.0.1:${sshd.port}`);
    await screen.expect('Passphrase for');
    screen.enter('open sesame');
    await screen.expect(/✓ Logged in at/);
    screen.type(KEYS.ctrlC);

    expect(await screen.exit()).toBe(130);
    expect(screen.text).not.toContain('open sesame');
    expect(await readdir(cli.home.dir)).not.toContain('tunnel');
  });

  test('a login that fails can be corrected, saved anyway, or left', { timeout: 40_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    await giveKey(cli, sshd);
    await using screen = wizard(cli);

    await screen.expect('SSH server:');
    screen.enter(`nobody-here@127.0.0.1:${sshd.port}`);
    await screen.expect('✗ Cannot log in');
    await screen.expect('What now?');
    screen.enter(); // change the server
    await screen.expect('SSH server:');
    screen.enter(`${sshd.user}@127.0.0.1:${await freePort()}`);
    await screen.expect(/✗ Cannot connect .*refused/);
    await screen.expect('What now?');
    screen.type(KEYS.down + KEYS.down + KEYS.enter); // save it anyway
    await screen.expect('What should be reachable');
    screen.type(KEYS.up + KEYS.enter); // something else
    await screen.expect('Host and port');
    screen.enter('intranet:8000');
    await screen.expect('Local port for intranet:8000');
    screen.enter('auto');
    await screen.expect('Another one?');
    screen.enter('n');
    await screen.expect('Name of the profile');
    screen.enter();
    await screen.expect('Description');
    screen.enter();
    await screen.expect('tunnel up intranet');
    expect(await screen.exit()).toBe(0);
  });

  test('Ctrl-C writes nothing', async () => {
    await using cli = await tunnelCli();
    await using screen = wizard(cli);

    await screen.expect('SSH server:');
    screen.type(KEYS.ctrlC);

    expect(await screen.exit()).toBe(130);
    expect(await readdir(cli.home.dir)).toEqual([]);
  });
});

function wizard(cli: TunnelCli): Terminal {
  return new Terminal(process.execPath, [TUNNEL, 'new'], { env: cli.home.env, cwd: cli.home.dir });
}

/** A key in the home's ~/.ssh that the server lets in; and a known_hosts file that knows it. */
async function giveKey(cli: TunnelCli, sshd: TestSshd, passphrase?: string): Promise<void> {
  const folder = join(cli.home.dir, '.ssh');
  await mkdir(folder, { mode: 0o700 });
  await writeFile(join(folder, 'known_hosts'), await readFile(sshd.knownHostsFile));
  if (passphrase === undefined) return copyFile(sshd.identityFile, join(folder, 'id_ed25519'));
  await makeKey(join(folder, 'id_ed25519'), 'ed25519', passphrase);
  await copyFile(join(folder, 'id_ed25519.pub'), sshd.authorizedKeysFile);
}
