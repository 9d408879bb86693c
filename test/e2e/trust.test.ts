import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Terminal } from '../support/pty.ts';
import { makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { TUNNEL, tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

async function fingerprintOf(sshd: TestSshd, type = 'ed25519'): Promise<string> {
  const { stdout } = await promisify(execFile)('ssh-keygen', ['-lf', join(sshd.dir, `host_${type}.pub`)]);
  return /SHA256:\S+/.exec(stdout)?.[0] ?? '';
}

const TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;

/** Has the authority sign the host's key, for 127.0.0.1, and starts the server with that. */
async function certify(sshd: TestSshd, authority: string): Promise<void> {
  const sign = ['-q', '-s', authority, '-I', 'host', '-h', '-n', '127.0.0.1', join(sshd.dir, 'host_ed25519.pub')];
  await promisify(execFile)('ssh-keygen', sign);
  await sshd.kill();
  await sshd.configure([`HostCertificate ${sshd.inside('host_ed25519-cert.pub')}`], ['ed25519']);
  await sshd.start();
}

/** The person's own known_hosts. */
function knownHosts(cli: TunnelCli): Promise<string> {
  return readFile(join(cli.home.dir, '.ssh', 'known_hosts'), 'utf8').catch(() => '');
}

describe('trust HOST', () => {
  test('shows the fingerprint that ssh-keygen shows, asks, and records the key for ssh too', async () => {
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
  });

  test('without a terminal takes a key only by its fingerprint, or blindly by --yes', async () => {
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
      keys: [{ type: 'ssh-ed25519', fingerprint: print }],
    });
    expect(again.stderr).toContain('trusted already');
    expect((await knownHosts(cli)).trim().split('\n')).toHaveLength(1);
  });

  test('a changed key is refused until the old one is untrusted', async () => {
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

  test("uses a profile's own known_hosts file, as its failure's hint names the host", async () => {
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
  test("finds the profile that does not know the host yet, also by the failure's hint", async () => {
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
  });

  // Both profiles lacked the key, and the host's name that the hint gave led to the file of the first.
  test('what a failure says to run records the key where that very profile looks for it', async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    for (const name of ['a', 'b']) {
      const server = `{ host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, knownHosts: ${join(cli.home.dir, name)} }`;
      await cli.home.profile(name, `via: ${server}\nforwards: [auto -> localhost:1]\n`);
    }

    const refused = await cli.run('check', 'b');
    const [, remedy = ''] = /`tunnel (trust [^`]+)`/.exec(refused.stdout) ?? [];
    await cli.ok(...remedy.split(' '), '--yes');

    expect(remedy).toBe('trust b');
    expect(await readFile(join(cli.home.dir, 'b'), 'utf8')).toContain(`[127.0.0.1]:${sshd.port} ssh-ed25519 `);
    await expect(readFile(join(cli.home.dir, 'a'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  // It said "Recorded the host key" before anybody was asked, and of a key that it then refused to record.
  test('says nothing of recording while it has not been told to', async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const host = `127.0.0.1:${sshd.port}`;

    const unasked = await cli.run('trust', host);
    const blind = await cli.run('trust', host, '--yes');

    expect(unasked.stderr).not.toContain('Recorded');
    expect(unasked.stderr).toContain(`tunnel trust ${host} --fingerprint ${await fingerprintOf(sshd)}`);
    expect(blind.stderr).toMatch(/Taken without a comparison .*tunnel untrust/);
  });

  test('records a key of each type that the server proves to own', async () => {
    await using sshd = await startSshd({ hostKeyTypes: TYPES });
    await using cli = await tunnelCli();
    const prints = await Promise.all(TYPES.map((type) => fingerprintOf(sshd, type)));

    const ran = await cli.ok('trust', `127.0.0.1:${sshd.port}`, '--yes', '--json');
    const known = join(cli.home.dir, '.ssh', 'known_hosts');
    const ssh = await Promise.all(
      ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512'].map((name) =>
        promisify(execFile)('ssh', [
          ...['-F', 'none', '-o', `UserKnownHostsFile=${known}`, '-o', 'GlobalKnownHostsFile=none'],
          ...['-o', 'StrictHostKeyChecking=yes', '-o', 'BatchMode=yes', '-o', `HostKeyAlgorithms=${name}`],
          ...['-i', sshd.identityFile, '-p', String(sshd.port), `${sshd.user}@127.0.0.1`, 'echo', 'in'],
        ]),
      ),
    );

    expect(JSON.parse(ran.stdout)).toMatchObject({ keys: prints.map((fingerprint) => ({ fingerprint })) });
    expect(ssh.map(({ stdout }) => stdout)).toEqual(['in\n', 'in\n', 'in\n']);
    expect(sshd.connections).toBe(1 + 3 + 3); // the start of the server, a look at each type, and ssh
  });

  test('records the one key alone whose fingerprint was told, of whatever type', async () => {
    await using sshd = await startSshd({ hostKeyTypes: TYPES });
    await using cli = await tunnelCli();
    const host = `127.0.0.1:${sshd.port}`;
    const [rsa, ecdsa] = [await fingerprintOf(sshd, 'rsa'), await fingerprintOf(sshd, 'ecdsa')];

    await cli.ok('trust', host, '--fingerprint', rsa);
    const first = await knownHosts(cli);
    await cli.ok('trust', host, '--fingerprint', ecdsa);
    const second = await knownHosts(cli);
    await cli.ok('untrust', host);
    await using screen = new Terminal(process.execPath, [TUNNEL, 'trust', host], {
      env: cli.home.env,
      cwd: cli.home.dir,
    });
    await screen.expect('Did the owner of the host tell you all of these?');
    screen.enter(ecdsa);

    expect(await screen.exit()).toBe(0);
    const typesIn = (text: string): string[] => text.split('\n').flatMap((line) => line.split(' ')[1] ?? []);
    expect(typesIn(first)).toEqual(['ssh-rsa']);
    expect(typesIn(second)).toEqual(['ssh-rsa', 'ecdsa-sha2-nistp256']);
    expect(typesIn(await knownHosts(cli))).toEqual(['ecdsa-sha2-nistp256']);
  });

  test('records the keys of a host that only an authority vouched for, without a question', async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const authority = join(cli.home.dir, 'authority');
    await makeKey(authority, 'ed25519');
    await certify(sshd, authority);
    const [type = '', key = ''] = (await readFile(`${authority}.pub`, 'utf8')).split(' ');
    const file = join(cli.home.dir, '.ssh', 'known_hosts');
    await mkdir(join(cli.home.dir, '.ssh'));
    const line = `@cert-authority [127.0.0.1]:${sshd.port} ${type} ${key}\n`;
    await writeFile(file, line);

    const ran = await cli.ok('trust', `127.0.0.1:${sshd.port}`);
    const after = await knownHosts(cli);
    const untrusted = await cli.ok('untrust', `127.0.0.1:${sshd.port}`);

    expect(ran.stderr).toContain(`(its certificate is of the authority in ${file}:1)`);
    expect(after).toMatch(/^@cert-authority .*\n\[127\.0\.0\.1\]:\d+ ssh-ed25519 \S+\n$/);
    expect(untrusted.stderr).toContain(`An authority in ${file}:1 may still vouch for it.`);
    expect(await knownHosts(cli)).toBe(line);
  });

  test('several processes that trust and untrust at once, and ssh, lose nothing', { timeout: 60_000 }, async () => {
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const [fresh, old, others] = ['new', 'old', 'ssh'].map((kind) => [1, 2, 3].map((index) => `${kind}${index}`));
    const hosts = [...(fresh ?? []), ...(old ?? [])].map(
      (host) => `Host ${host}\n HostName 127.0.0.1\n Port ${sshd.port}\n HostKeyAlias ${host}\n`,
    );
    const key = (await readFile(join(sshd.dir, 'host_ed25519.pub'), 'utf8')).split(' ').slice(0, 2).join(' ');
    const file = join(cli.home.dir, '.ssh', 'known_hosts');
    await mkdir(join(cli.home.dir, '.ssh'));
    await writeFile(join(cli.home.dir, '.ssh', 'config'), hosts.join(''), { mode: 0o600 });
    await writeFile(file, `# mine\n${(old ?? []).map((host) => `${host} ${key}\n`).join('')}`);

    await Promise.all([
      ...(fresh ?? []).map((host) => cli.ok('trust', host, '--yes')),
      ...(old ?? []).map((host) => cli.ok('untrust', host)),
      ...(others ?? []).map((host) =>
        promisify(execFile)('ssh', [
          ...['-F', 'none', '-o', `UserKnownHostsFile=${file}`, '-o', 'GlobalKnownHostsFile=none'],
          ...['-o', 'StrictHostKeyChecking=accept-new', '-o', 'BatchMode=yes', '-o', `HostKeyAlias=${host}`],
          ...['-i', sshd.identityFile, '-p', String(sshd.port), `${sshd.user}@127.0.0.1`, 'true'],
        ]),
      ),
    ]);

    const lines = (await knownHosts(cli)).trim().split('\n').sort();
    expect(lines).toEqual(['# mine', ...[...(fresh ?? []), ...(others ?? [])].map((host) => `${host} ${key}`)]);
  });

  test('a host that cannot be reached is 7', async () => {
    await using cli = await tunnelCli();

    const ran = await cli.run('trust', '127.0.0.1:1', '--yes');

    expect(ran.code).toBe(7);
  });
});

describe('trust FILE', () => {
  test('accepts a shared profile as it is now, and no other text of it', async () => {
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
