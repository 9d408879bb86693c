// debian: debootstrap
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { opensshAges } from '../support/openssh-ages.ts';
import { makeKey, startSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelStage } from '../support/tunnel-stage.ts';

const run = promisify(execFile);
const TIME = { timeout: 40_000 };
const MIB = 1024 ** 2;

/** Sends random bytes through an echo and compares what comes back. @returns whether it is the same */
async function echoesBack(port: number, bytes: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  const sent = createHash('sha256');
  const received = createHash('sha256');
  let back = 0;
  socket.on('data', (chunk: Buffer) => {
    received.update(chunk);
    back += chunk.length;
    if (back === bytes) socket.end();
  });
  for (let left = bytes; left > 0; left -= 64 * 1024) {
    const chunk = randomBytes(Math.min(left, 64 * 1024));
    sent.update(chunk);
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  await once(socket, 'close');
  return back === bytes && sent.digest('hex') === received.digest('hex');
}

describe.each(opensshAges())('a link to $name', ({ start, mlKem }) => {
  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('whose host key is %s', TIME, async (type) => {
    await using on = await tunnelStage({ ...start, hostKeyTypes: [type] });
    await on.profile('t');

    await on.proves('t');

    expect(on.sshd.logins).toBe(1);
  });

  test('is made by the exchange that both prefer, and `status -v` shows what was negotiated', TIME, async () => {
    await using on = await tunnelStage(start);
    await on.profile('t');
    await on.proves('t');

    const { link } = await on.cli.status('t');
    const { stdout } = await on.cli.ok('status', '-v', 't');

    const kex = mlKem ? 'mlkem768x25519-sha256' : 'curve25519-sha256';
    expect(link).toMatchObject({ kex, hostKey: 'ssh-ed25519', cipher: 'aes128-gcm@openssh.com', mac: 'implicit' });
    expect(link?.server).toMatch(mlKem ? /^OpenSSH_10\.0/ : /^OpenSSH_9\.2/);
    expect(stdout).toContain(`key exchange ${kex}, host key ssh-ed25519, cipher aes128-gcm@openssh.com`);
  });

  test('whose server has nothing but ML-KEM, or a profile that wants nothing else', TIME, async () => {
    await using on = await tunnelStage({ ...start, ...(mlKem && { config: ['KexAlgorithms mlkem768x25519-sha256'] }) });
    await on.profile('t', [...on.login, 'kex: [mlkem768x25519-sha256]']);

    const up = await on.cli.run('up', 't', '--json');

    expect(up.code).toBe(mlKem ? 0 : 7);
    if (!mlKem) expect(up.stdout).toContain('NO_COMMON_ALGORITHM');
  });

  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('whose %s key an authority has certified', TIME, async (type) => {
    await using on = await tunnelStage({ ...start, hostKeyTypes: [type] });
    const ca = join(on.cli.home.dir, 'ca');
    await makeKey(ca, 'ed25519');
    await run('ssh-keygen', [
      '-q',
      '-h',
      '-s',
      ca,
      '-I',
      'x',
      '-n',
      '127.0.0.1',
      join(on.sshd.dir, `host_${type}.pub`),
    ]);
    await on.sshd.configure([`HostCertificate ${on.sshd.inside(`host_${type}-cert.pub`)}`, 'RekeyLimit 1M'], [type]);
    await on.sshd.kill();
    await on.sshd.start();
    await writeFile(on.sshd.knownHostsFile, `@cert-authority [127.0.0.1]:* ${await on.publicLine(ca)}\n`);
    await on.profile('t');

    await on.proves('t');

    expect(await echoesBack(await on.cli.port('t'), 4 * MIB)).toBe(true);
    expect((await on.cli.status('t')).link?.hostKey).toMatch(/-cert-v01@openssh\.com$/);
  });

  test('that knows only the last of three types of host key is no stranger', TIME, async () => {
    await using on = await tunnelStage({ ...start, hostKeyTypes: ['ed25519', 'ecdsa', 'rsa'] });
    const line = (await on.publicLine(join(on.sshd.dir, 'host_rsa'))).split(' ').slice(0, 2).join(' ');
    await writeFile(on.sshd.knownHostsFile, `[127.0.0.1]:${on.sshd.port} ${line}\n`);
    await on.profile('t');

    await on.proves('t');
  });

  test('through a jump host of its kind, each with its own key and name', TIME, async () => {
    await using jump = await startSshd(start);
    await using on = await tunnelStage(start);
    const hop = (sshd: typeof jump) =>
      `{ host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, identity: [${sshd.identityFile}], agent: false, knownHosts: ${sshd.knownHostsFile} }`;
    const lines = [
      'sshConfig: none',
      `via: [ ${hop(jump)}, ${hop(on.sshd)} ]`,
      `forwards: [ 127.0.0.1:auto -> 127.0.0.1:${on.target.port} ]`,
    ];
    await on.cli.home.profile('t', `${lines.join('\n')}\n`);

    await on.proves('t');

    expect([jump.logins, on.sshd.logins]).toEqual([1, 1]);
  });

  test('changes its keys under load when the server wants it', TIME, async () => {
    await using on = await tunnelStage({ ...start, config: ['RekeyLimit 1M', 'LogLevel DEBUG1'] });
    await on.profile('t');
    await on.proves('t');

    expect(await echoesBack(await on.cli.port('t'), 12 * MIB)).toBe(true);

    expect(on.sshd.log.match(/rekeying in/g)?.length).toBeGreaterThan(8);
    expect(await on.cli.status('t')).toMatchObject({ state: 'up', reconnects: 0 });
  });

  test('changes its keys under load when ssh_config says so (RekeyLimit)', TIME, async () => {
    await using on = await tunnelStage({ ...start, config: ['LogLevel DEBUG1'] });
    const config = join(on.cli.home.dir, 'config');
    await writeFile(config, 'Host *\n  RekeyLimit 1M\n');
    await on.profile('t', on.login, [`sshConfig: ${config}`]);
    await on.proves('t');

    expect(await echoesBack(await on.cli.port('t'), 12 * MIB)).toBe(true);

    expect(on.sshd.log.match(/rekeying in/g)?.length).toBeGreaterThan(8);
    expect(await on.cli.status('t')).toMatchObject({ state: 'up', reconnects: 0 });
  });

  test('changes its keys when a time has passed, though nothing flows (RekeyLimit)', TIME, async () => {
    await using on = await tunnelStage({ ...start, config: ['LogLevel DEBUG1'] });
    const config = join(on.cli.home.dir, 'config');
    await writeFile(config, 'Host *\n  RekeyLimit default 1s\n');
    await on.profile('t', on.login, [`sshConfig: ${config}`]);
    await on.proves('t');

    await expect.poll(() => on.sshd.log.match(/rekeying in/g)?.length ?? 0, { timeout: 10_000 }).toBeGreaterThan(1);

    expect(await ask(await on.cli.port('t'), 'still')).toBe('still');
  });

  test('to a server that allows no session at all serves, since it needs none (MaxSessions 0)', TIME, async () => {
    await using on = await tunnelStage({ ...start, config: ['MaxSessions 0'] });
    await on.profile('t');

    await on.proves('t');
  });

  test(
    'to a server that permits one target reaches that one, and says why not another (PermitOpen)',
    TIME,
    async () => {
      await using on = await tunnelStage(start);
      await on.sshd.configure([`PermitOpen 127.0.0.1:${on.target.port}`], ['ed25519']);
      await on.sshd.kill();
      await on.sshd.start();
      await on.profile('allowed');
      await on.cli.home.profile('forbidden', `${viaSshd(on.sshd)}forwards: [ 127.0.0.1:auto -> 127.0.0.1:1 ]\n`);

      await on.proves('allowed');
      await on.cli.ok('up', 'forbidden');
      const answer = await ask(await on.cli.port('forbidden'), 'hello').catch(() => '');
      const { stdout } = await on.cli.ok('logs', 'forbidden', '--json');

      expect(answer).toBe('');
      expect(stdout).toContain('TARGET_PROHIBITED');
      expect(await on.cli.status('forbidden')).toMatchObject({ state: 'up' });
    },
  );
});
