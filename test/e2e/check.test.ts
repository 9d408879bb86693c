import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPop3Server } from '../../src/demo/pop3-server.ts';
import { freePort, startSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';

const GOOD = 'via: alice@pop.example.org\nsshConfig: none\nforwards:\n  - localhost:1113 -> pop.example.org:113\n';
const BAD =
  'via: alice@pop.example.org\nforward:\n  - localhost:1113 -> pop.example.org:113\nkeepalive: { interval: 15 }\n';

test('check without a name goes through all profiles and says which are right', async () => {
  await using cli = await tunnelCli();
  const good = await cli.home.profile('good', GOOD);
  const bad = await cli.home.profile('bad', BAD);

  const ran = await cli.run('check');

  const lines = ran.stdout.trim().split('\n');
  expect(ran).toMatchObject({ code: 2, stderr: '' });
  expect(
    lines.filter((line) => line.startsWith(`${bad}:`)).map((line) => line.slice(bad.length).split(' ')[0]),
  ).toEqual([':1:1:', ':2:1:', ':4:24:']);
  expect(ran.stdout).toContain('forwards');
  expect(lines.at(-1)).toBe(`ok  good  ${good}`);
});

test('check NAME --json has the problems as data, and 2 as its end', async () => {
  await using cli = await tunnelCli();
  const file = await cli.home.profile('bad', `${GOOD}colour: red\n`);
  await cli.home.profile('good', GOOD);

  const [bad, good] = await Promise.all([
    cli.run('check', 'bad', '--no-live', '--json'),
    cli.run('check', 'good', '--no-live', '--json'),
  ]);

  expect([bad.code, good.code]).toEqual([2, 0]);
  expect(JSON.parse(bad.stdout)).toMatchObject({
    version: 1,
    profiles: [{ name: 'bad', file, ok: false }],
    problems: [{ file, line: 5, column: 1 }],
  });
  expect(JSON.parse(good.stdout)).toMatchObject({ profiles: [{ name: 'good', ok: true }], problems: [] });
});

test('a profile that is a folder or not there is said, and the others are still checked', async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('good', GOOD);
  const folder = join(cli.home.profilesDir, 'folder.yaml');
  await mkdir(folder);

  const all = await cli.run('check');
  const missing = await cli.run('check', 'goood');

  expect(all.code).toBe(2);
  expect(all.stdout).toMatch(/folder\.yaml:1:1: .*folder.*\nok {2}good/);
  expect(missing.code).toBe(3);
  expect(missing.stderr).toContain('good');
});

test('check of a path and show of a name print what is there', async () => {
  await using cli = await tunnelCli();
  const file = join(cli.home.dir, 'team.yaml');
  await writeFile(file, GOOD);
  await cli.home.profile('mine', `# a comment\n${GOOD}`);

  const checked = await cli.run('check', './team.yaml', '--no-live');
  const shown = await cli.run('show', 'mine');
  const plan = JSON.parse((await cli.ok('show', 'mine', '--json')).stdout) as { plan: { hops: unknown[] } };

  expect(checked).toEqual({ code: 0, stdout: `ok  team  ${file}\n`, stderr: '' });
  expect(shown.stdout).toBe(`# a comment\n${GOOD}`);
  expect(plan).toMatchObject({
    version: 1,
    name: 'mine',
    plan: { hops: [{ host: 'pop.example.org', port: 22, user: 'alice' }], keepalive: { intervalMs: 15_000 } },
  });
});

test('check NAME proves each step to the first bytes, and names the one that fails', { timeout: 30_000 }, async () => {
  await using cli = await tunnelCli();
  await using sshd = await startSshd();
  const mail = await startPop3Server();
  await cli.home.profile('good', `${viaSshd(sshd)}forwards:\n  - localhost:auto -> localhost:${mail.port}\n`);
  await cli.home.profile('closed', `${viaSshd(sshd)}forwards:\n  - localhost:auto -> localhost:${await freePort()}\n`);
  await cli.home.profile(
    'nowhere',
    `${viaSshd(sshd, await freePort())}forwards:\n  - localhost:auto -> localhost:110\n`,
  );

  const [good, closed, nowhere] = await Promise.all(
    ['good', 'closed', 'nowhere'].map((name) => cli.run('check', name, '--json')),
  );
  await mail.close();

  expect([good?.code, closed?.code, nowhere?.code]).toEqual([0, 1, 7]);
  expect([good, closed, nowhere].map((ran) => stepsOf(ran?.stdout))).toEqual([
    ['DNS ok', 'TCP ok', 'host key ok', 'login ok', 'channel ok', 'first bytes ok'],
    ['DNS ok', 'TCP ok', 'host key ok', 'login ok', 'channel TARGET_REFUSED'],
    ['DNS ok', 'TCP CONNECT_REFUSED'],
  ]);
  expect(good?.stdout).toContain('+OK POP3 server of the demo is ready');
});

function stepsOf(stdout = ''): string[] {
  const { steps } = JSON.parse(stdout) as { steps: { step: string; ok: boolean; error: { code: string } | null }[] };
  return steps.map(({ step, error }) => `${step} ${error?.code ?? 'ok'}`);
}
