// debian: debootstrap
import { execFile } from 'node:child_process';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { opensshAges } from '../support/openssh-ages.ts';
import { Terminal } from '../support/pty.ts';
import { TestAgent } from '../support/ssh-agent.ts';
import { makeKey } from '../support/sshd.ts';
import { TRIXIE, TRIXIE_PASSWORD } from '../support/trixie.ts';
import { TUNNEL } from '../support/tunnel-cli.ts';
import { tunnelStage, type TunnelStage } from '../support/tunnel-stage.ts';

const run = promisify(execFile);
const KEY_TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;

/** A key that the server lets in, under the name of its type. */
async function allowedKey(
  on: TunnelStage,
  type: (typeof KEY_TYPES)[number],
  passphrase = '',
  options = '',
): Promise<string> {
  const file = join(on.cli.home.dir, `key_${type}`);
  await makeKey(file, type, passphrase);
  await appendFile(on.sshd.authorizedKeysFile, `${options}${await on.publicLine(file)}\n`);
  return file;
}

/** What the server wrote about the login: method, key type and fingerprint. */
function accepted(on: TunnelStage): string[] {
  return [...on.sshd.log.matchAll(/^Accepted (\S+) for \S+ from \S+ port \d+ ssh2(?:: (\S+))?/gm)].map(
    ([, method, type]) => [method, type].join(' ').trim(),
  );
}

describe.each(opensshAges())('a login to $name', ({ start }) => {
  test.each(KEY_TYPES)('by an %s key', async (type) => {
    await using on = await tunnelStage(start);
    const file = await allowedKey(on, type);
    await on.profile('t', [`identity: [${file}]`, 'agent: false', on.trust]);

    await on.proves('t');

    expect(accepted(on)).toEqual([`publickey ${type.toUpperCase()}`]);
  });

  test.each(KEY_TYPES)('by an encrypted %s key, whose passphrase a file holds', async (type) => {
    await using on = await tunnelStage(start);
    const file = await allowedKey(on, type, 'geheim');
    const secret = join(on.cli.home.dir, 'passphrase');
    await writeFile(secret, 'geheim\n', { mode: 0o600 });
    const via = [`identity: [${file}]`, 'agent: false', on.trust];
    await on.profile('t', via, [`secrets: { passphrase: { file: ${secret} } }`]);

    await on.proves('t');

    expect(accepted(on)).toEqual([`publickey ${type.toUpperCase()}`]);
  });

  test.each(KEY_TYPES)('by a certificate over an %s key, from its file and from the agent', async (type) => {
    await using on = await tunnelStage(start);
    const file = join(on.cli.home.dir, 'certified');
    const ca = join(on.cli.home.dir, 'ca');
    await makeKey(file, type);
    await makeKey(ca, 'ed25519');
    await run('ssh-keygen', ['-q', '-s', ca, '-I', 'tester', '-n', on.sshd.user, `${file}.pub`]);
    await writeFile(join(on.sshd.dir, 'user_ca'), `${await on.publicLine(ca)}\n`);
    await on.sshd.configure([`TrustedUserCAKeys ${on.sshd.inside('user_ca')}`], ['ed25519']);
    await on.sshd.kill();
    await on.sshd.start();
    await using agent = await TestAgent.start(join(on.cli.home.dir, 'agent.sock'));
    await agent.add(file);
    await on.profile('file', [`identity: [${file}]`, 'agent: false', on.trust]);
    await on.profile('agent', [`agent: ${agent.socket}`, on.trust]);

    await on.proves('file');
    await rm(file);
    await on.proves('agent');

    expect(accepted(on)).toEqual([`publickey ${type.toUpperCase()}-CERT`, `publickey ${type.toUpperCase()}-CERT`]);
  });

  test('by each type of key out of a real agent, which SSH_AUTH_SOCK names', async () => {
    await using on = await tunnelStage(start);
    for (const type of KEY_TYPES) {
      await using agent = await TestAgent.start(join(on.cli.home.dir, 'agent.sock'));
      await agent.add(await allowedKey(on, type));
      await on.profile(type, [on.trust]);

      await on.proves(type, { SSH_AUTH_SOCK: agent.socket });
    }

    expect(accepted(on)).toEqual(KEY_TYPES.map((type) => `publickey ${type.toUpperCase()}`));
  });

  test('that is refused is one connection and exit 4: a wrong key, an unknown user, a user not let in', async () => {
    await using on = await tunnelStage({ ...start, config: [`DenyUsers nobody`] });
    const wrong = join(on.cli.home.dir, 'wrong');
    await makeKey(wrong, 'ed25519');
    const keys = (file: string) => [`identity: [${file}]`, 'agent: false', on.trust];
    await on.profile('wrong-key', keys(wrong));
    const text = await on.profile('unknown-user', keys(on.sshd.identityFile));
    await run('sed', ['-i', 's/user: .*/user: no-such-user/', text]);
    await run('sed', ['-i', 's/user: .*/user: nobody/', await on.profile('denied', keys(on.sshd.identityFile))]);
    const before = on.sshd.connections;

    const codes = [];
    for (const name of ['wrong-key', 'unknown-user', 'denied']) codes.push((await on.cli.run('up', name)).code);

    expect(codes).toEqual([4, 4, 4]);
    expect(on.sshd.connections - before).toBe(3);
  });

  test('with more wrong keys than the server takes tries stops short of being thrown out', async () => {
    await using on = await tunnelStage({ ...start, config: ['MaxAuthTries 3'] });
    const files = [];
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) {
      files.push(join(on.cli.home.dir, name));
      await makeKey(join(on.cli.home.dir, name), 'ed25519');
    }
    await on.profile('t', [`identity: [${files.join(', ')}]`, 'agent: false', on.trust]);

    const up = await on.cli.run('up', 't', '--json');

    expect(up.code).toBe(4);
    expect(JSON.parse(up.stdout)).toMatchObject({ error: { code: 'LOGIN_REFUSED' } });
    expect(on.sshd.connections).toBe(2); // the first one asked whether the server is there
  });
});

describe('a login to OpenSSH 10.0', () => {
  test('by a key of the agent and then a password, which a person types', async () => {
    await using on = await tunnelStage({
      root: TRIXIE,
      config: [
        'UsePAM yes',
        'KbdInteractiveAuthentication yes',
        'AuthenticationMethods publickey,keyboard-interactive:pam',
      ],
    });
    await using agent = await TestAgent.start(join(on.cli.home.dir, 'agent.sock'));
    for (const name of ['other1', 'other2']) {
      await makeKey(join(on.cli.home.dir, name), 'ed25519');
      await agent.add(join(on.cli.home.dir, name));
    }
    await agent.add(await allowedKey(on, 'ecdsa'));
    await on.profile('t', [`agent: ${agent.socket}`, on.trust]);
    await using screen = new Terminal(process.execPath, [TUNNEL, 'up', 't'], {
      env: on.cli.home.env,
      cwd: on.cli.home.dir,
    });

    await screen.expect('Password');
    screen.enter(TRIXIE_PASSWORD);

    expect(await screen.exit()).toBe(0);
    expect(on.sshd.log).toContain('Accepted keyboard-interactive/pam for root');
  });

  test('with a wrong key earns no ban: the right key of another profile logs in at once', async () => {
    await using on = await tunnelStage({ root: TRIXIE, config: ['PerSourcePenalties yes'] });
    const wrong = join(on.cli.home.dir, 'wrong');
    await makeKey(wrong, 'ed25519');
    await on.profile('wrong', [`identity: [${wrong}]`, 'agent: false', on.trust]);
    await on.profile('right');
    const before = on.sshd.connections;

    const refused = await on.cli.run('up', 'wrong');
    const seen = on.sshd.connections - before;
    await on.proves('right');

    expect({ code: refused.code, seen }).toEqual({ code: 4, seen: 1 });
    expect(on.sshd.log).not.toMatch(/drop connection/);
  });

  test('that the server bans says that it does, and comes up by itself when the ban is over', async () => {
    await using on = await tunnelStage({ root: TRIXIE, config: ['PerSourcePenalties authfail:3s min:1s'] });
    const wrong = join(on.cli.home.dir, 'wrong');
    await makeKey(wrong, 'ed25519');
    await on.profile('wrong', [`identity: [${wrong}]`, 'agent: false', on.trust]);
    await on.profile('right', on.login, ['reconnect: { initial: 500ms, max: 1s }']);

    await on.cli.run('up', 'wrong');
    const banned = await on.cli.run('up', 'right', '--wait', '1s', '--json');
    await on.cli.becomes('right', 'up', 15_000);

    expect(banned.code).toBe(7);
    expect(banned.stdout).toContain('PerSourcePenalties');
    expect(on.sshd.log).toMatch(/drop connection .*penalt/);
  });
});
