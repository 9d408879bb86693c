import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Terminal } from '../support/pty.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

async function fingerprintOf(sshd: TestSshd): Promise<string> {
  const { stdout } = await promisify(execFile)('ssh-keygen', ['-lf', join(sshd.dir, 'host_ed25519.pub')]);
  return /SHA256:\S+/.exec(stdout)?.[0] ?? '';
}

/** The person's own known_hosts. */
function knownHosts(cli: TunnelCli): Promise<string> {
  return readFile(join(cli.home.dir, '.ssh', 'known_hosts'), 'utf8').catch(() => '');
}

describe('trust HOST', () => {
  test(
    'shows the fingerprint that ssh-keygen shows, asks, and records the key for ssh too',
    { timeout: 30_000 },
    async () => {
      await using sshd = await startSshd();
      await using cli = await tunnelCli();
      const print = await fingerprintOf(sshd);
      await using screen = new Terminal(process.execPath, [TUNNEL, 'trust', `127.0.0.1:${sshd.port}`], {
        env: cli.home.env,
        cwd: cli.home.dir,
      });

      await screen.expect(`ED25519 key of [127.0.0.1]:${sshd.port}: ${print}`);
      screen.enter('y');
      await screen.expect('Recorded');

      expect(await screen.exit()).toBe(0);
      const found = await promisify(execFile)('ssh-keygen', [
        ...['-F', `[127.0.0.1]:${sshd.port}`],
        ...['-f', join(cli.home.dir, '.ssh', 'known_hosts')],
      ]);
      expect(found.stdout).toContain('ssh-ed25519');
      expect(sshd.logins).toBe(0);
    },
  );

  test('without a terminal takes a key only by its fingerprint, or blindly by --yes', { timeout: 30_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const host = `127.0.0.1:${sshd.port}`;
    const print = await fingerprintOf(sshd);

    const unasked = await cli.run('trust', host);
    const other = await cli.run(
      'trust',
      host,
      '--fingerprint',
      print.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
    );
    const garbled = await cli.run('trust', host, '--fingerprint', 'MD5:00');
    const before = await knownHosts(cli);
    const right = await cli.run('trust', host, '--fingerprint', print, '--json');
    const again = await cli.run('trust', host, '--yes');

    expect([unasked.code, other.code, garbled.code, right.code, again.code]).toEqual([5, 5, 2, 0, 0]);
    expect(unasked.stderr).toContain(print);
    expect(before).toBe('');
    expect(JSON.parse(right.stdout)).toEqual({
      version: 1,
      host: `[127.0.0.1]:${sshd.port}`,
      fingerprint: print,
      recorded: true,
      file: join(cli.home.dir, '.ssh', 'known_hosts'),
    });
    expect(again.stderr).toContain('trusted already');
    expect((await knownHosts(cli)).trim().split('\n')).toHaveLength(1);
  });

  test('a changed key is refused until the old one is untrusted', { timeout: 30_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const host = `127.0.0.1:${sshd.port}`;
    await cli.ok('trust', host, '--yes');
    await sshd.kill();
    await sshd.changeHostKey();
    await sshd.start();

    const changed = await cli.run('trust', host, '--yes');
    const untrusted = await cli.run('untrust', host);
    const nothing = await cli.run('untrust', host);
    const trusted = await cli.run('trust', host, '--yes');

    expect([changed.code, untrusted.code, nothing.code, trusted.code]).toEqual([5, 0, 5, 0]);
    expect(changed.stderr).toContain('changed');
    expect(await knownHosts(cli)).toContain(`[127.0.0.1]:${sshd.port} ssh-ed25519`);
  });

  test("uses a profile's own known_hosts file, as its failure's hint names the host", { timeout: 30_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const own = join(cli.home.dir, 'own_hosts');
    await cli.home.profile(
      'mail',
      [
        'sshConfig: none',
        `via: { host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, identity: ${sshd.identityFile}, agent: false, knownHosts: ${own} }`,
        'forwards: [ localhost:auto -> localhost:110 ]',
        '',
      ].join('\n'),
    );

    const refused = await cli.run('up', 'mail');
    const command = /`tunnel (trust [^`]+)`/.exec(refused.stderr)?.[1] ?? '';
    const trusted = await cli.run(...command.split(' '), '--yes');
    const up = await cli.run('up', 'mail');

    expect([refused.code, trusted.code, up.code]).toEqual([5, 0, 0]);
    expect(await readFile(own, 'utf8')).toContain('ssh-ed25519');
    expect(await knownHosts(cli)).toBe('');
  });

  // Several profiles reach it, and only one of them did not know it: trust looked at the first of them, and was done.
  test(
    "finds the profile that does not know the host yet, also by the failure's hint",
    { timeout: 30_000 },
    async () => {
      await using sshd = await startSshd();
      await using cli = await tunnelCli();
      const host = `${sshd.user}@127.0.0.1:${sshd.port}`;
      const via = (knownHostsFile: string): string =>
        `via:\n  host: 127.0.0.1\n  port: ${sshd.port}\n  user: ${sshd.user}\n  knownHosts: ${knownHostsFile}\nforwards: [auto -> localhost:1]\n`;
      const unknown = join(cli.home.dir, 'not-yet');
      await cli.home.profile('a', via(sshd.knownHostsFile));
      await cli.home.profile('b', via(unknown));

      await cli.ok('trust', host, '--yes');
      const recorded = await readFile(unknown, 'utf8');
      const untrusted = await cli.run('untrust', 'b', '--yes');

      expect(recorded).toContain(`[127.0.0.1]:${sshd.port} ssh-ed25519 `);
      expect(untrusted.stderr).toContain(`from ${unknown}`);
    },
  );

  // It said "Recorded the host key" before anybody was asked, and of a key that it then refused to record.
  test('says nothing of recording while it has not been told to', { timeout: 30_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const host = `127.0.0.1:${sshd.port}`;

    const unasked = await cli.run('trust', host);
    const blind = await cli.run('trust', host, '--yes');

    expect(unasked.stderr).not.toContain('Recorded');
    expect(unasked.stderr).toContain(`tunnel trust ${host} --fingerprint ${await fingerprintOf(sshd)}`);
    expect(blind.stderr).toMatch(/Taken without a comparison .*tunnel untrust/);
  });

  test('a host that cannot be reached is 7', async () => {
    await using cli = await tunnelCli();

    const ran = await cli.run('trust', '127.0.0.1:1', '--yes');

    expect(ran.code).toBe(7);
  });
});

describe('trust FILE', () => {
  test('accepts a shared profile as it is now, and no other text of it', { timeout: 30_000 }, async () => {
    await using cli = await tunnelCli();
    const project = join(cli.home.dir, 'project');
    const file = join(project, '.tunnel', 'db.yaml');
    await mkdir(join(project, '.tunnel'), { recursive: true });
    const text =
      'via: alice@127.0.0.1:1\nsshConfig: none\nforwards: [ localhost:auto -> db:5432 ]\nhooks: { up: "true" }\n';
    await writeFile(file, text);
    const inProject = (...args: readonly string[]) => cli.runWith({ cwd: project }, ...args);

    const before = await inProject('show', 'db', '--json');
    const unasked = await inProject('trust', '.tunnel/db.yaml');
    const trusted = await inProject('trust', '.tunnel/db.yaml', '--yes');
    const after = await inProject('show', 'db', '--json');
    await writeFile(file, text.replace('"true"', '"false"'));
    const changed = await inProject('show', 'db', '--json');
    await writeFile(file, text);
    await inProject('untrust', '.tunnel/db.yaml');
    const untrusted = await inProject('show', 'db', '--json');

    const codes = [before, unasked, trusted, after, changed, untrusted].map(({ code }) => code);
    expect(codes).toEqual([2, 2, 0, 0, 2, 2]);
    expect(JSON.parse(before.stdout)).toMatchObject({ error: { code: 'PROFILE_UNTRUSTED' } });
  });
});
