import { appendFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { echoes, talking } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { Knocker } from '../support/knocker.ts';
import { makeKey } from '../support/sshd.ts';
import { tunnelStage } from '../support/tunnel-stage.ts';

test(
  'restart and reload move to a new connection: nobody is refused or cut, what is open lives on',
  { timeout: 40_000 },
  async () => {
    await using on = await tunnelStage();
    await on.profile('t');
    await on.proves('t');
    const port = await on.cli.port('t');
    const open = await talking(port);
    const knocker = new Knocker({ port });

    await on.cli.ok('restart', 't');
    await eventually(() => on.sshd.logins === 2);
    await on.profile('t', on.login, ['keepalive: { interval: 7s }']);
    await on.cli.ok('reload', 't');
    await eventually(() => on.sshd.logins === 3);
    const another = join(on.sshd.dir, 'another_key');
    await makeKey(another, 'ed25519');
    await appendFile(on.sshd.authorizedKeysFile, `${await on.publicLine(another)}\n`);
    await on.profile('t', [`identity: [${another}]`, 'agent: false', on.trust]);
    await on.cli.ok('reload', 't');
    await eventually(() => on.sshd.logins === 4);
    await makeKey(`${another}.new`, 'ed25519'); // rotated under its name
    await appendFile(on.sshd.authorizedKeysFile, `${await on.publicLine(`${another}.new`)}\n`);
    for (const end of ['.pub', '']) await rename(`${another}.new${end}`, `${another}${end}`);
    await on.cli.ok('reload', 't');
    await eventually(() => on.sshd.logins === 5);
    await on.cli.ok('reload', 't'); // nothing has changed
    expect(on.sshd.logins).toBe(5);

    await echoes(open, 'by the first connection still\n');
    const fates = await knocker.stop();
    expect(fates).toEqual({ served: fates.served, refused: 0, cut: 0 });
    expect(fates.served).toBeGreaterThan(0);
    open.destroy();
  },
);

test(
  'a new connection that cannot log in leaves the old one in use, and the log and `status` say why',
  { timeout: 40_000 },
  async () => {
    await using on = await tunnelStage();
    await on.profile('t');
    await on.proves('t');
    const port = await on.cli.port('t');
    const open = await talking(port);
    const knocker = new Knocker({ port });
    await writeFile(on.sshd.authorizedKeysFile, '');

    await on.cli.run('restart', 't', '--no-wait');
    await eventually(async () => (await on.cli.ok('logs', 't')).stdout.includes('stays in use'), { withinMs: 10_000 });

    await echoes(open, 'by the old connection\n');
    expect(await knocker.stop()).toMatchObject({ refused: 0, cut: 0 });
    expect(await on.cli.status('t')).toMatchObject({
      state: 'up',
      lastError: null,
      renewalError: { code: 'LOGIN_REFUSED' },
    });
    expect((await on.cli.ok('status', 't')).stdout).toContain('the old connection stays in use: Cannot log in to ');
    open.destroy();
  },
);
