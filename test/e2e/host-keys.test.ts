import { execFile } from 'node:child_process';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { Terminal } from '../support/pty.ts';
import { TestAgent } from '../support/ssh-agent.ts';
import { makeKey, startSshd, type SshdOptions, type TestSshd } from '../support/sshd.ts';
import { TUNNEL, tunnelCli, type Ran, type TunnelCli } from '../support/tunnel-cli.ts';

const run = promisify(execFile);

/** A server that the person's ssh_config calls `pop`, and a profile that goes there. */
interface Stage extends AsyncDisposable {
  readonly cli: TunnelCli;
  readonly sshd: TestSshd;
  /** The person's own known_hosts. */
  readonly knownHosts: string;
  /** `[127.0.0.1]:PORT` */
  readonly name: string;
  /** Writes ssh_config anew, with these lines about the host. */
  configure(...lines: readonly string[]): Promise<void>;
}

async function stage(options: SshdOptions = {}): Promise<Stage> {
  const [sshd, cli] = [await startSshd(options), await tunnelCli()];
  const ssh = join(cli.home.dir, '.ssh');
  await mkdir(ssh);
  const about = ['HostName 127.0.0.1', `Port ${sshd.port}`, `User ${sshd.user}`];
  const configure = (...lines: readonly string[]): Promise<void> =>
    writeFile(join(ssh, 'config'), `Host pop\n  ${[...lines, ...about].join('\n  ')}\n`, { mode: 0o600 });
  const whole: Stage = {
    cli,
    sshd,
    knownHosts: join(ssh, 'known_hosts'),
    name: `[127.0.0.1]:${sshd.port}`,
    configure: (...lines) => configure(`IdentityFile ${sshd.identityFile}`, ...lines),
    [Symbol.asyncDispose]: async () => {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
    },
  };
  await whole.configure();
  await profile(whole, 'mail', 'pop');
  return whole;
}

function profile({ cli }: Stage, name: string, via: string): Promise<unknown> {
  return cli.home.profile(name, `via: ${via}\nforwards: [ "127.0.0.1:auto -> 127.0.0.1:9" ]\n`);
}

/** The public key of the server, `TYPE BASE64`. */
async function keyOf(sshd: TestSshd, type = 'ed25519'): Promise<string> {
  return (await readFile(join(sshd.dir, `host_${type}.pub`), 'utf8')).split(' ').slice(0, 2).join(' ');
}
const lines = async (file: string): Promise<readonly string[]> => (await readFile(file, 'utf8')).trim().split('\n');

/** `tunnel ssh` logs in by the person's ssh_config, and leaves. */
const login = ({ cli }: Stage, ...options: readonly string[]): Promise<Ran> =>
  cli.run('ssh', '-o', 'BatchMode=yes', ...options, 'pop', 'true');

describe('further keys of a server that is known', () => {
  const TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;

  test('are recorded without a question, as ssh does by default', async () => {
    await using here = await stage({ hostKeyTypes: TYPES });
    await writeFile(here.knownHosts, `${here.name} ${await keyOf(here.sshd)}\n`);

    await here.cli.ok('up', 'mail');
    await eventually(async () => (await lines(here.knownHosts)).length === 3);

    const all = await Promise.all(TYPES.map((type) => keyOf(here.sshd, type)));
    expect([...(await lines(here.knownHosts))].sort()).toEqual(all.map((key) => `${here.name} ${key}`).sort());
  });

  test('are offered with UpdateHostKeys ask, and left alone with no', async () => {
    await using here = await stage({ hostKeyTypes: TYPES });
    await writeFile(here.knownHosts, `${here.name} ${await keyOf(here.sshd)}\n`);
    await here.configure('UpdateHostKeys no');
    await here.cli.ok('up', 'mail');
    await here.cli.ok('daemon', 'stop');
    const untouched = await lines(here.knownHosts);

    await here.configure('UpdateHostKeys ask');
    await using screen = new Terminal(process.execPath, [TUNNEL, 'up', 'mail', '-f'], {
      env: here.cli.home.env,
      cwd: here.cli.home.dir,
    });
    await screen.expect(`Record the further host keys of ${here.name}?`);
    screen.enter('y');
    await eventually(async () => (await lines(here.knownHosts)).length === 3);

    expect(untouched).toHaveLength(1);
    expect(screen.text).toContain('ECDSA SHA256:');
  });
});

describe('a host key', () => {
  test('is looked for and recorded under HostKeyAlias', async () => {
    await using here = await stage();
    await writeFile(here.knownHosts, `${here.name} ${await keyOf(here.sshd)}\n`);
    await here.configure('HostKeyAlias pop-server');

    const unknown = await here.cli.run('up', 'mail');
    await here.cli.ok('trust', 'pop', '--yes');
    const known = await here.cli.run('up', 'mail');

    expect([unknown.code, known.code]).toEqual([5, 0]);
    expect((await lines(here.knownHosts))[1]).toBe(`pop-server ${await keyOf(here.sshd)}`);
  });

  test('that is unknown is recorded without a question under accept-new, and refused once it changes', async () => {
    await using here = await stage();
    await here.configure('StrictHostKeyChecking accept-new');

    const first = await here.cli.run('up', 'mail');
    await eventually(() => here.sshd.logins === 1, { what: 'the line of the login in the log of the server' });
    await here.cli.ok('down', 'mail');
    const recorded = await lines(here.knownHosts);
    const { logins } = here.sshd;
    await here.sshd.kill();
    await here.sshd.changeHostKey();
    await here.sshd.start();
    const changed = await here.cli.run('up', 'mail');

    expect([first.code, changed.code]).toEqual([0, 5]);
    expect(recorded).toHaveLength(1);
    expect(await lines(here.knownHosts)).toEqual(recorded);
    expect(here.sshd.logins).toBe(logins);
  });

  test('is taken by a pinned fingerprint alone: nothing is recorded, and another is refused', async () => {
    await using here = await stage();
    const { stdout } = await run('ssh-keygen', ['-lf', join(here.sshd.dir, 'host_ed25519.pub')]);
    const print = /SHA256:\S+/.exec(stdout)?.[0] ?? '';
    await profile(here, 'right', `{ host: pop, hostKey: "fingerprint: ${print}" }`);
    await profile(here, 'wrong', `{ host: pop, hostKey: "fingerprint: SHA256:${'A'.repeat(43)}" }`);

    const [right, wrong] = [await here.cli.run('up', 'right'), await here.cli.run('up', 'wrong')];

    expect([right.code, wrong.code]).toEqual([0, 5]);
    expect(wrong.stderr).toContain(print);
    await expect(readFile(here.knownHosts)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is refused where RevokedHostKeys lists it, as a key or in a revocation list, or cannot be read', async () => {
    await using here = await stage();
    await writeFile(here.knownHosts, `${here.name} ${await keyOf(here.sshd)}\n`);
    const [file, other] = [join(here.cli.home.dir, 'revoked'), join(here.cli.home.dir, 'other')];
    await makeKey(other, 'ed25519');
    const revokedBy = (path: string): Promise<Ran> => login(here, '-o', `RevokedHostKeys=${path}`);
    const list = (keyFile: string): Promise<unknown> => run('ssh-keygen', ['-q', '-k', '-f', `${file}.krl`, keyFile]);

    await writeFile(file, `# none of ours\n${await readFile(`${other}.pub`, 'utf8')}`);
    await list(`${other}.pub`);
    const free = [await revokedBy(file), await revokedBy(`${file}.krl`)];
    await appendFile(file, await keyOf(here.sshd));
    await list(join(here.sshd.dir, 'host_ed25519.pub'));
    const caught = [await revokedBy(file), await revokedBy(`${file}.krl`)];
    const lost = await revokedBy(`${file}.not-there`);

    expect([...free, ...caught, lost].map(({ code }) => code)).toEqual([0, 0, 255, 255, 255]);
    for (const { stderr } of caught) expect(stderr).toContain(`is revoked by ${file}`);
    expect(lost.stderr).toContain('cannot be read');
    await eventually(() => here.sshd.logins >= 2, { what: 'the lines of the logins in the log of the server' });
    expect(here.sshd.logins).toBe(2);
  });

  test('in a certificate counts only where CASignatureAlgorithms allows its signature', async () => {
    await using here = await stage();
    const authority = join(here.cli.home.dir, 'authority');
    await makeKey(authority, 'ed25519');
    const hostKey = join(here.sshd.dir, 'host_ed25519.pub');
    await run('ssh-keygen', ['-q', '-s', authority, '-I', 'pop', '-h', '-n', '127.0.0.1', hostKey]);
    await here.sshd.kill();
    await here.sshd.configure([`HostCertificate ${here.sshd.inside('host_ed25519-cert.pub')}`], ['ed25519']);
    await here.sshd.start();
    await writeFile(here.knownHosts, `@cert-authority ${here.name} ${await readFile(`${authority}.pub`, 'utf8')}`);

    const allowed = await login(here);
    const refused = await login(here, '-vo', 'CASignatureAlgorithms=rsa-sha2-512');
    const without = await login(here, '-o', 'CASignatureAlgorithms=-ssh-ed25519');

    expect([allowed.code, refused.code, without.code]).toEqual([0, 255, 255]);
    expect(refused.stderr).toContain('CASignatureAlgorithms does not allow its signature, ssh-ed25519');
  });
});

test('old algorithms are used by a profile with `legacy: true` alone, and shown wherever it is', async () => {
  // What OpenSSH 7.4 in its oldest dress offers.
  const old = ['KexAlgorithms diffie-hellman-group14-sha1', 'Ciphers aes128-cbc', 'MACs hmac-sha1'];
  await using here = await stage({ config: old });
  await writeFile(here.knownHosts, `${here.name} ${await keyOf(here.sshd)}\n`);
  await profile(here, 'old', '{ host: pop, legacy: true }');

  const up = await here.cli.run('up', 'old');
  const other = await here.cli.run('up', 'mail');
  const status = await here.cli.ok('status', 'old');

  const shown =
    'uses old algorithms, which its profile allows by `legacy: true`: diffie-hellman-group14-sha1, aes128-cbc, hmac-sha1';
  expect([up.code, other.code]).toEqual([0, 7]);
  expect(up.stderr).toContain(shown);
  expect(status.stdout).toContain(shown);
  expect(other.stderr).toContain('An old server may need `legacy: true`');
});

test('a key is found in the agent that IdentityAgent of ssh_config names', async () => {
  await using here = await stage();
  await writeFile(here.knownHosts, `${here.name} ${await keyOf(here.sshd)}\n`);
  await using agent = await TestAgent.start(join(here.cli.home.dir, 'agent'));
  await agent.add(here.sshd.identityFile);
  await writeFile(
    join(here.cli.home.dir, '.ssh', 'config'),
    `Host pop\n  HostName 127.0.0.1\n  Port ${here.sshd.port}\n  User ${here.sshd.user}\n  IdentityAgent ${agent.socket}\n`,
  );

  const ran = await here.cli.run('up', 'mail');
  await here.cli.ok('down', 'mail');
  const elsewhere = await here.cli.runWith(
    { env: { SSH_AUTH_SOCK: agent.socket } },
    'ssh',
    '-F',
    'none',
    '-o',
    'IdentityAgent=none',
    '-o',
    'BatchMode=yes',
    '-p',
    String(here.sshd.port),
    `${here.sshd.user}@127.0.0.1`,
    'true',
  );

  expect([ran.code, elsewhere.code]).toEqual([0, 255]);
});
