import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { authorizeStage } from '../support/authorize-stage.ts';
import { ask } from '../support/clients.ts';
import { Terminal } from '../support/pty.ts';
import { makeKey, startSshd } from '../support/sshd.ts';
import { TUNNEL, tunnelCli } from '../support/tunnel-cli.ts';

const MAIL = 'via: alice@pop.invalid # the server\nsshConfig: none\nforwards:\n  - localhost:1113 -> pop.invalid:113\n';

describe('authorize without a word more', () => {
  test('makes a key that is private, once, and prints one line on stdout', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', MAIL);
    const file = join(cli.home.dir, 'tunnel', 'keys', 'mail');

    const first = await cli.ok('authorize', 'mail');
    const key = await readFile(file, 'utf8');
    const again = await cli.ok('authorize', 'mail', '--json');

    const [type, blob] = (await readFile(`${file}.pub`, 'utf8')).split(' ');
    const limits =
      'restrict,port-forwarding,permitopen="pop.invalid:113",permitlisten="nothing.invalid:1",command="false"';
    expect(first.stdout).toMatch(/^[^\n]+\n$/);
    expect(first.stdout.startsWith(`${limits} ${type ?? ''} ${blob ?? ''} tunnel:mail@`)).toBe(true);
    expect(first.stderr).toContain('alice@pop.invalid:22');
    expect(JSON.parse(again.stdout)).toMatchObject({
      version: 1,
      name: 'mail',
      account: 'alice@pop.invalid:22',
      key: { file, type: 'ssh-ed25519', made: false },
      line: first.stdout.trimEnd(),
      used: false,
    });
    expect(await readFile(file, 'utf8')).toBe(key);
    const modes = await Promise.all([file, `${file}.pub`, join(file, '..')].map((path) => stat(path)));
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o600, 0o600, 0o700]);
  });

  test('keeps the key of a profile that is renamed, and gives a file of the same name elsewhere another', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', MAIL);
    const before = await cli.ok('authorize', 'mail', '--use');
    await cli.ok('rename', 'mail', 'post');
    const other = join(cli.home.dir, 'mail.yaml');
    await writeFile(other, MAIL);

    const [renamed, elsewhere] = [await cli.ok('authorize', 'post'), await cli.ok('authorize', other)];

    expect(blobOf(renamed.stdout)).toBe(blobOf(before.stdout));
    expect(blobOf(elsewhere.stdout)).not.toBe(blobOf(before.stdout));
  });

  test('never writes over what is there: a public half alone is told, another kind of file refused', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', MAIL);
    const keys = join(cli.home.dir, 'tunnel', 'keys');
    await mkdir(keys, { mode: 0o700 });
    await writeFile(join(keys, 'mail.pub'), 'ssh-ed25519 AAAA mine\n');
    const alone = await cli.run('authorize', 'mail');
    await rename(join(keys, 'mail.pub'), join(keys, 'mail'));
    const noKey = await cli.run('authorize', 'mail');

    expect([alone.code, noKey.code]).toEqual([1, 4]);
    expect(alone.stderr).toContain('mail.pub is there already');
    expect(await readFile(join(keys, 'mail'), 'utf8')).toBe('ssh-ed25519 AAAA mine\n');
  });
});

describe('authorize --use', () => {
  test('has the profile log in with the key alone, keeps its comments, and does it once', async () => {
    await using cli = await tunnelCli();
    const file = await cli.home.profile('mail', MAIL);

    const used = await cli.ok('authorize', 'mail', '--use');
    const text = await readFile(file, 'utf8');
    const again = await cli.ok('authorize', 'mail', '--use', '--json');

    expect(used.stderr).toContain('mail logs in with this key from now on');
    expect(text).toContain('# the server');
    expect(text).toContain('identity: [~/tunnel/keys/mail]\n  agent: false\n');
    expect(JSON.parse(again.stdout)).toMatchObject({ used: false });
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  test("is refused for a team's profile, which is not changed", async () => {
    await using cli = await tunnelCli();
    await mkdir(join(cli.home.dir, '.tunnel'));
    const file = join(cli.home.dir, '.tunnel', 'db.yaml');
    await writeFile(file, MAIL);

    const refused = await cli.run('authorize', 'db', '--use');

    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('IdentityFile');
    expect(await readFile(file, 'utf8')).toBe(MAIL);
  });
});

test('authorize of relays alone, and of an unknown profile, says why it cannot', async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('gate', 'forwards:\n  - relay: localhost:8080\n    to: 127.0.0.1:80\n');

  const [relays, unknown] = [await cli.run('authorize', 'gate'), await cli.run('authorize', 'gat')];

  expect([relays.code, unknown.code]).toEqual([2, 3]);
  expect(relays.stderr).toContain('none of its forwards uses an SSH server');
});

/** What a proof found: each step, and `ok` or the code of its failure. */
function stepsOf(stdout: string): string[] {
  const { proof } = JSON.parse(stdout) as { proof: { steps: { step: string; error: { code: string } | null }[] } };
  return proof.steps.map(({ step, error }) => `${step} ${error?.code ?? 'ok'}`);
}

const REFUSED = ['target ok', 'listener ok', 'terminal ok', 'shell ok', 'command ok', 'sftp ok'];

describe('authorize --install', () => {
  test(
    'sets up a key that sshd lets open the forward and nothing else, and the tunnel comes up with it',
    {
      timeout: 60_000,
    },
    async () => {
      await using on = await authorizeStage();
      await mkdir(join(on.account, '.ssh'), { mode: 0o700 });
      await writeFile(on.file, '# no end of line');

      const ran = await on.cli.ok('authorize', 'mail', '--install', '--use', '--json');

      expect(JSON.parse(ran.stdout)).toMatchObject({ installed: 'added', proof: { ok: true }, used: true });
      expect(stepsOf(ran.stdout)).toEqual(['login ok', 'forward ok', ...REFUSED]);
      expect(await on.lines()).toEqual(['# no end of line', (JSON.parse(ran.stdout) as { line: string }).line]);
      const here = `127.0.0.1:${on.target.port}`;
      const [allowed, other, listening, command] = await Promise.all([
        on.ssh('-W', here, '127.0.0.1'),
        on.ssh('-W', `127.0.0.1:${on.sshd.port}`, '127.0.0.1'),
        on.ssh('-N', '-o', 'ExitOnForwardFailure=yes', '-R', '0:127.0.0.1:1', '127.0.0.1'),
        on.ssh('127.0.0.1', 'echo hello'),
      ]);
      expect([allowed.code, other.code, listening.code, command]).toEqual([
        0,
        255,
        255,
        { code: 1, stdout: '', stderr: '' },
      ]);
      expect(other.stderr).toContain('administratively prohibited');
      await on.cli.ok('up', 'mail');
      expect(await ask(await on.cli.port('mail'), 'hello')).toBe('hello');
    },
  );

  test('is no harm a second time, with the old login gone from the profile or not', { timeout: 60_000 }, async () => {
    await using on = await authorizeStage();

    const states: unknown[] = [];
    for (const more of [[], [], ['--use'], []]) {
      const ran = await on.cli.ok('authorize', 'mail', '--install', '--json', ...more);
      states.push((JSON.parse(ran.stdout) as { installed: unknown }).installed);
    }

    expect(states).toEqual(['added', 'present', 'present', 'present']);
    expect(await on.lines()).toHaveLength(1);
  });

  test('puts a new line in the place of the old one when the profile has changed', { timeout: 60_000 }, async () => {
    await using on = await authorizeStage();
    await on.cli.ok('authorize', 'mail', '--install');
    const socket = join(on.account, 'made.sock');
    await on.profile(
      `  - socks: localhost:auto\n  - remote: localhost:0\n    to: localhost:9\n  - remote: unix:${socket}\n    to: localhost:9\n`,
    );

    const outdated = await on.cli.run('authorize', 'mail', '--prove', '--json');
    const ran = await on.cli.ok('authorize', 'mail', '--install', '--json');

    expect(outdated.code).toBe(1);
    expect(stepsOf(outdated.stdout).slice(0, 3)).toEqual([
      'login ok',
      'forward TARGET_PROHIBITED',
      'forward FORWARD_REFUSED',
    ]);
    expect(JSON.parse(ran.stdout)).toMatchObject({ installed: 'replaced', proof: { ok: true } });
    expect(stepsOf(ran.stdout)).toEqual(['login ok', 'forward ok', 'forward ok', 'forward ok', ...REFUSED.slice(2)]);
    expect(await on.lines()).toEqual([expect.stringContaining('permitopen="*:*",permitlisten="localhost:*",command')]);
  });

  test(
    'leaves alone what somebody else has written for the key, and says what is there',
    { timeout: 60_000 },
    async () => {
      await using on = await authorizeStage();
      const { stdout } = await on.cli.ok('authorize', 'mail');
      await mkdir(join(on.account, '.ssh'), { mode: 0o700 });
      const theirs = stdout.replace('restrict,', 'restrict,from="127.0.0.1",');
      await writeFile(on.file, theirs);

      const ran = await on.cli.run('authorize', 'mail', '--install', '--json');

      expect(ran.code).toBe(1);
      expect(JSON.parse(ran.stdout)).toMatchObject({ error: { code: 'KEY_UNLIMITED' } });
      expect(ran.stdout).toContain('from=');
      expect(await readFile(on.file, 'utf8')).toBe(theirs);
    },
  );

  test(
    'says that the file is not the one that sshd reads, where the key is not taken',
    { timeout: 60_000 },
    async () => {
      await using on = await authorizeStage(['AuthorizedKeysFile /dev/null']);
      await on.sshd.kill();
      await on.sshd.configure(
        [`SetEnv HOME=${on.account}`, `AuthorizedKeysFile ${on.sshd.authorizedKeysFile}`],
        ['ed25519'],
      );
      await on.sshd.start();

      const ran = await on.cli.run('authorize', 'mail', '--install', '--use');

      expect(ran.code).toBe(4);
      expect(ran.stdout).toContain('AuthorizedKeysFile');
      expect(ran.stdout).toContain('no  login');
      expect(await readFile(join(on.cli.home.profilesDir, 'mail.yaml'), 'utf8')).toContain(on.sshd.identityFile);
    },
  );

  test.each([
    ['in a home where nothing can be made', [], '/proc', 'mkdir'],
    ['where the login runs a command of the owner', ['ForceCommand echo tunnels only'], undefined, 'tunnels only'],
    ['where no session is allowed', ['MaxSessions 0'], undefined, 'runs no command for this login'],
  ])('says why it cannot %s, and what to do', { timeout: 60_000 }, async (_, config, home, why) => {
    await using on = await authorizeStage(config, home);

    const ran = await on.cli.run('authorize', 'mail', '--install');

    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain(`~/.ssh/authorized_keys of ${on.sshd.address}: `);
    expect(ran.stderr).toContain(why);
    expect(ran.stderr).toContain('Have the line added by somebody who can');
    expect(ran.stdout).toMatch(/^restrict,/);
  });

  test('asks step by step on a terminal, for the passphrase of the old login too', { timeout: 60_000 }, async () => {
    await using on = await authorizeStage();
    const locked = join(on.cli.home.dir, 'locked');
    await makeKey(locked, 'ed25519', 'correct horse');
    await writeFile(join(on.cli.home.dir, 'existing_keys'), await readFile(`${locked}.pub`));
    const file = await on.profile();
    await writeFile(file, (await readFile(file, 'utf8')).replace(on.sshd.identityFile, locked));
    await using screen = new Terminal(process.execPath, [TUNNEL, 'authorize', 'mail'], {
      env: on.cli.home.env,
      cwd: on.cli.home.dir,
    });

    await screen.expect('Put it there now');
    screen.enter('y');
    await screen.expect('Passphrase for');
    screen.enter('correct horse');
    await screen.expect(/ok {2}sftp/);
    await screen.expect('Have mail log in with this key from now on?');
    screen.enter('y');
    await screen.expect('mail logs in with this key from now on');

    expect(await screen.exit()).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('identity: [~/tunnel/keys/mail]');
  });

  test('is for the last of several servers, and says what the jump host must allow', { timeout: 60_000 }, async () => {
    await using on = await authorizeStage();
    await using bastion = await startSshd();
    const file = await on.profile();
    const jump = [
      'host: 127.0.0.1',
      `port: ${bastion.port}`,
      `user: ${bastion.user}`,
      `identity: ${bastion.identityFile}`,
    ];
    const entry = [...jump, 'agent: false', `knownHosts: ${bastion.knownHostsFile}`].join('\n    ');
    await writeFile(file, (await readFile(file, 'utf8')).replace('via:\n', `via:\n  - ${entry}\n`));

    const ran = await on.cli.ok('authorize', 'mail', '--install', '--json');

    expect(JSON.parse(ran.stdout)).toMatchObject({
      account: on.sshd.address,
      jumps: [{ hop: bastion.address, permitopen: `127.0.0.1:${on.sshd.port}` }],
      proof: { ok: true },
    });
    expect(await on.lines()).toHaveLength(1);
    expect(await readFile(bastion.authorizedKeysFile, 'utf8')).not.toContain('restrict');
  });
});

describe('authorize --key', () => {
  test('takes a key that is there, and never limits one that others use too', { timeout: 60_000 }, async () => {
    await using on = await authorizeStage();
    await mkdir(join(on.account, '.ssh'), { mode: 0o700 });
    const general = await readFile(`${on.sshd.identityFile}.pub`, 'utf8');
    await writeFile(on.file, general);

    const ran = await on.cli.run('authorize', 'mail', '--key', on.sshd.identityFile, '--install');

    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain(`command="false" ${general.split(' ').slice(0, 2).join(' ')} tunnel:mail@`);
    expect(ran.stderr).toContain('the key stands there already, as: ssh-ed25519');
    expect(await readFile(on.file, 'utf8')).toBe(general);
  });

  test('says how to write the public half of a key that hides it, and that a file is missing', async () => {
    await using cli = await tunnelCli();
    await cli.home.profile('mail', MAIL);
    const hidden = join(cli.home.dir, 'hidden');
    const args = ['-q', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', 'secret', '-f', hidden];
    await promisify(execFile)('ssh-keygen', args);
    await rm(`${hidden}.pub`);

    const [locked, missing] = [
      await cli.run('authorize', 'mail', '--key', 'hidden'),
      await cli.run('authorize', 'mail', '--key', 'none'),
    ];

    expect([locked.code, missing.code]).toEqual([4, 4]);
    expect(locked.stderr).toContain(`ssh-keygen -y -f ${hidden} > ${hidden}.pub`);
    expect(missing.stderr).toContain('no such file');
  });
});

describe('authorize --prove', () => {
  test('finds out that another line gives the key a shell', { timeout: 60_000 }, async () => {
    await using on = await authorizeStage();
    const { stdout } = await on.cli.ok('authorize', 'mail');
    const existing = join(on.cli.home.dir, 'existing_keys');
    await writeFile(existing, stdout.replace(/^.*? ssh-ed25519/, 'ssh-ed25519'));

    const ran = await on.cli.run('authorize', 'mail', '--prove', '--use', '--json');

    const open = REFUSED.map((step) => step.replace('ok', 'KEY_UNLIMITED'));
    expect(ran.code).toBe(1);
    expect(stepsOf(ran.stdout)).toEqual(['login ok', 'forward ok', ...open]);
    expect(JSON.parse(ran.stdout)).toMatchObject({ proof: { ok: false }, used: false });
  });

  test(
    'of a key that is not there yet says how to get it there; a target that is down is told',
    {
      timeout: 60_000,
    },
    async () => {
      await using on = await authorizeStage();
      const early = await on.cli.run('authorize', 'mail', '--prove');
      await on.target.close();
      const down = await on.cli.run('authorize', 'mail', '--install', '--use');

      expect([early.code, down.code]).toEqual([4, 1]);
      expect(early.stdout).toContain('tunnel authorize mail --install');
      expect(down.stdout).toMatch(/no {2}forward .*connect failed/);
      expect(down.stdout).toMatch(/ok {2}shell/);
      expect(down.stderr).not.toContain('from now on');
    },
  );
});

test('authorize --remove takes the line away, and nothing else', { timeout: 60_000 }, async () => {
  await using on = await authorizeStage();
  await mkdir(join(on.account, '.ssh'), { mode: 0o700 });
  await writeFile(on.file, '# mine\n');
  await on.cli.ok('authorize', 'mail', '--install');

  const removed = [
    await on.cli.ok('authorize', 'mail', '--remove', '--json'),
    await on.cli.ok('authorize', 'mail', '--remove'),
  ];

  expect(JSON.parse(removed[0]?.stdout ?? '')).toMatchObject({ removed: 1 });
  expect(removed[1]?.stderr).toContain('No line of this key');
  expect(await readFile(on.file, 'utf8')).toBe('# mine\n');
  expect((await on.ssh('-W', '127.0.0.1:1', '127.0.0.1')).stderr).toContain('Permission denied');
});

test('authorize refuses options that contradict each other, before it does anything', async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('mail', MAIL);
  const ran = await cli.run('authorize', 'mail', '--print', '--install');
  expect(ran).toMatchObject({ code: 2, stdout: '' });
  expect(ran.stderr).toContain('--print and --install');
});

function blobOf(line: string): string {
  return / ssh-ed25519 (\S+)/.exec(line)?.[1] ?? '';
}
