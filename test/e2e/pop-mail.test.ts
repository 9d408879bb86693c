import Pop3Command from 'node-pop3';
import { expect, test } from 'vitest';
import { startPop3Server } from '../../src/demo/pop3-server.ts';
import { ask, refuses } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { startSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';

async function popMail() {
  const mail = await startPop3Server();
  const sshd = await startSshd();
  const cli = await tunnelCli();
  await cli.home.profile(
    'pop-mail',
    `${viaSshd(sshd)}reconnect: { initial: 200ms, max: 1s }\nforwards:\n  - localhost:auto -> localhost:${mail.port}\n`,
  );
  return {
    cli,
    sshd,
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await mail.close();
    },
  };
}

test('a mail client reads its mail through localhost, by hand and by a real client library', async () => {
  await using stage = await popMail();
  const { cli } = stage;

  const up = await cli.ok('up', 'pop-mail');
  const port = await cli.port('pop-mail');
  const byHand = await ask(port, 'USER alice\r\nPASS secret\r\nSTAT\r\nQUIT\r\n');
  const client = new Pop3Command({ user: 'alice', password: 'secret', host: 'localhost', port });
  const list = await client.UIDL();
  const first = await client.RETR(1);
  await client.QUIT();

  expect(up.stdout).toMatch(new RegExp(`pop-mail +localhost:${port} -> localhost:\\d+ +up`));
  expect(byHand.split('\r\n').map((line) => line.slice(0, 3))).toEqual(['+OK', '+OK', '+OK', '+OK', '+OK', '']);
  expect(list).toHaveLength(3);
  expect(first).toMatch(/^Subject: /m);
  const forward = await eventually(async () => {
    const [one] = (await cli.status('pop-mail')).forwards;
    return one?.openConnections === 0 ? one : undefined; // a moment after the client has gone
  });
  expect(forward).toMatchObject({ kind: 'local', state: 'up', totalConnections: 2 });
});

test('both addresses of localhost lead to the target', async () => {
  await using stage = await popMail();
  await stage.cli.ok('up', 'pop-mail');
  const port = await stage.cli.port('pop-mail');

  const greetings = await Promise.all(['127.0.0.1', '::1'].map((host) => ask(port, 'QUIT\r\n', host)));

  expect(greetings.map((text) => text.slice(0, 3))).toEqual(['+OK', '+OK']);
});

test('mail that is asked for while the server restarts comes once it is back', async () => {
  await using stage = await popMail();
  const { cli, sshd } = stage;
  await cli.ok('up', 'pop-mail');
  const port = await cli.port('pop-mail');

  await sshd.kill();
  await cli.becomes('pop-mail', 'retrying');
  const held = ask(port, 'USER alice\r\nPASS x\r\nSTAT\r\nQUIT\r\n');
  await sshd.start();
  const backAt = performance.now();

  expect(await held).toMatch(/^\+OK/);
  const dialledAt = sshd.timesOf(/^Connection from /).at(-1) ?? Infinity;
  expect(dialledAt - backAt).toBeLessThan(2_000); // the login that follows takes what the machine takes
  const status = await cli.becomes('pop-mail', 'up');
  expect(status).toMatchObject({ reconnects: 1, lastError: null });
});

test('kill -9 of the supervisor leaves nothing listening, and the next command brings the tunnels back', async () => {
  await using stage = await popMail();
  const { cli } = stage;
  await cli.ok('up', 'pop-mail');
  const port = await cli.port('pop-mail');

  process.kill(await cli.supervisorPid(), 'SIGKILL');
  await eventually(() => refuses(port), { what: `port ${port} to be free` });
  const orphaned = await cli.run('status');
  await cli.ok('daemon', 'restart');
  await cli.becomes('pop-mail', 'up');

  expect(orphaned.stderr).toContain('pop-mail. `tunnel daemon restart`');
  expect(await cli.port('pop-mail')).toBe(port);
  expect(await ask(port, 'QUIT\r\n')).toMatch(/^\+OK/);
});
