import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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

  const [bad, good] = await Promise.all([cli.run('check', 'bad', '--json'), cli.run('check', 'good', '--json')]);

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

  const checked = await cli.run('check', './team.yaml');
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
