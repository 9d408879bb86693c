import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask, refuses } from '../support/clients.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

let cli: TunnelCli;
let sshd: TestSshd;
let target: TcpTarget;

beforeEach(async () => {
  [cli, sshd, target] = await Promise.all([tunnelCli(), startSshd(), TcpTarget.start(echo)]);
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await sshd.stop();
  await target.close();
});

/** A profile that leads to the echo service. @param more further lines; further forwards last */
async function profile(name: string, port: number, head = '', more = '', sshPort = sshd.port): Promise<void> {
  const forwards = `forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n${more}`;
  await cli.home.profile(name, `${viaSshd(sshd, sshPort)}${head}${forwards}`);
}

async function states(...names: readonly string[]): Promise<readonly string[]> {
  return Promise.all(names.map(async (name) => (await cli.status(name)).state));
}

test(
  '--atomic: one that does not come up takes down those that did, and those that ran before stay',
  { timeout: 40_000 },
  async () => {
    const [port, another] = [await freePort(), await freePort()];
    await profile('before', port);
    await profile('good', another);
    await profile('away', await freePort(), '', '', await freePort());
    await cli.ok('up', 'before');

    const up = await cli.run('up', 'before', 'good', 'away', '--atomic', '--wait', '2s');

    expect([up.code, up.stdout]).toEqual([7, '']);
    expect(up.stderr).toContain('Not all came up; taken down again: good, away; still running: before');
    expect(up.stderr).not.toContain('stays wanted');
    expect(await states('before', 'good', 'away')).toEqual(['up', 'stopped', 'stopped']);
    expect([await ask(port, 'still'), await refuses(another)]).toEqual(['still', true]);
  },
);

test(
  '--atomic: one forward that the server refuses takes its whole tunnel down, exit 8',
  { timeout: 40_000 },
  async () => {
    const port = await freePort();
    const taken = `  - { remote: "127.0.0.1:${sshd.port}", to: "127.0.0.1:1" }\n`;
    await profile('half', port, '', taken);

    const up = await cli.run('up', 'half', '--atomic');

    expect([up.code, await refuses(port)]).toEqual([8, true]);
    expect(await states('half')).toEqual(['stopped']);
  },
);

test('--atomic: when all come up they stay, in the order of `after`', { timeout: 40_000 }, async () => {
  const [first, second] = [await freePort(), await freePort()];
  await profile('vpn', first);
  await profile('mail', second, 'after: [vpn]\n');

  const up = await cli.ok('up', 'mail', '--atomic');

  expect(up.stdout.split('\n').map((line) => line.split(' ')[0])).toEqual(['vpn', 'mail', '']);
  expect(await states('vpn', 'mail')).toEqual(['up', 'up']);
});

test('--atomic: what `after` brought along goes with the rest', { timeout: 40_000 }, async () => {
  await profile('vpn', await freePort(), '', `  - { remote: "127.0.0.1:${sshd.port}", to: "127.0.0.1:1" }\n`);
  await profile('mail', await freePort(), 'after: [vpn]\n');

  const up = await cli.run('up', 'mail', '--atomic', '--wait', '5s');

  expect(up.code).toBe(8);
  expect(up.stderr).toContain('taken down again: vpn, mail');
  expect(await states('vpn', 'mail')).toEqual(['stopped', 'stopped']);
});

test('--foreground --atomic ends with the code of what did not come up', { timeout: 40_000 }, async () => {
  const port = await freePort();
  await profile('good', port);
  await profile('half', await freePort(), '', `  - { remote: "127.0.0.1:${sshd.port}", to: "127.0.0.1:1" }\n`);

  const up = await cli.run('up', '-f', 'good', 'half', '--atomic');

  expect([up.code, await refuses(port)]).toEqual([8, true]);
});

test('--atomic with --no-wait is a mistake', async () => {
  await profile('good', await freePort());

  expect((await cli.run('up', 'good', '--atomic', '--no-wait')).code).toBe(2);
});
