import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPop3Server } from '../../src/demo/pop3-server.ts';
import { refuses } from '../support/clients.ts';
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

test('list and check name the files that no name finds, and say why', async () => {
  await using cli = await tunnelCli();
  await cli.home.profile('good', GOOD);
  for (const entry of ['small.yml', 'Raw2.yaml', 'my mail.yaml', 'good.yaml~', '.hidden.yaml'])
    await writeFile(join(cli.home.profilesDir, entry), GOOD);

  const [checked, listed] = await Promise.all([cli.run('check'), cli.run('list')]);
  const [named, json] = await Promise.all([cli.run('check', 'good', '--no-live'), cli.run('list', '--json')]);

  const rule = "a profile's name has lower-case letters, digits, dots, - and _ only, as in pop-mail.yaml";
  const told = [
    `Passed over ${join(cli.home.profilesDir, 'Raw2.yaml')}: ${rule}`,
    `Passed over ${join(cli.home.profilesDir, 'my mail.yaml')}: ${rule}`,
    `Passed over ${join(cli.home.profilesDir, 'small.yml')}: a profile's file ends in .yaml, so name it small.yaml`,
  ];
  expect(checked.stderr.trim().split('\n')).toEqual(told);
  expect(listed.stderr.trim().split('\n')).toEqual(told);
  expect([checked.code, listed.code, named.stderr, json.stderr]).toEqual([0, 0, '', '']);
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

test('check NAME proves each step to the first bytes, and names the one that fails', async () => {
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
    ['bind ok', 'DNS ok', 'TCP ok', 'host key ok', 'login ok', 'channel ok', 'first bytes ok'],
    ['bind ok', 'DNS ok', 'TCP ok', 'host key ok', 'login ok', 'channel TARGET_REFUSED'],
    ['bind ok', 'DNS ok', 'TCP CONNECT_REFUSED'],
  ]);
  expect(good?.stdout).toContain('+OK POP3 server of the demo is ready');
});

test(
  'check NAME proves every kind of forward, and lets go of what the server opened for it',
  { timeout: 40_000 },
  async () => {
    await using cli = await tunnelCli();
    await using sshd = await startSshd();
    const mail = await startPop3Server();
    const [port, back] = [await freePort(), await freePort()];
    const service = `127.0.0.1:${mail.port}`;
    const forwards = [
      `{ socks: 127.0.0.1:auto, name: any }`,
      `{ socks: 127.0.0.1:auto, expect: pop3, expectAt: "${service}", name: proxy }`,
      `{ remote: "127.0.0.1:${port}", to: "${service}", expect: pop3, name: back }`,
      `{ remote-socks: "127.0.0.1:0", expect: smtp, expectAt: "${service}", name: wrong }`,
      `{ trigger: 127.0.0.1:auto, to: "${service}", opens: [ { remote: "127.0.0.1:${back}", to: client:1 } ], name: phone }`,
    ];
    await cli.home.profile('t', `${viaSshd(sshd)}forwards:\n${forwards.map((one) => `  - ${one}\n`).join('')}`);

    const ran = await cli.run('check', 't', '--json');
    const free = await Promise.all([port, back].map(refuses));
    await cli.run('up', 't');
    const running = await cli.run('check', 't', '--json');
    await mail.close();

    const proved = stepsOf(ran.stdout).slice(7);
    expect(stepsOf(ran.stdout).slice(0, 4)).toEqual(['bind ok', 'bind ok', 'bind ok', 'DNS ok']);
    expect(proved).toEqual([
      ...['channel ok', 'channel ok', 'first bytes ok'],
      ...['listen ok', 'TCP ok', 'first bytes ok'],
      ...['listen ok', 'TCP ok', 'first bytes SERVICE_UNHEALTHY'],
      ...['channel ok', 'first bytes ok', 'listen ok'],
    ]);
    expect([ran.code, free]).toEqual([1, [true, true]]);
    expect(stepsOf(running.stdout).slice(4)).toEqual(proved);
    expect(running.stdout).toContain('the running tunnel has it');
  },
);

test('check NAME says what a server forbids, with what to look at', async () => {
  await using cli = await tunnelCli();
  await using sshd = await startSshd({ config: ['AllowTcpForwarding no'] });
  const forwards = '  - { socks: 127.0.0.1:auto }\n  - { remote: "127.0.0.1:0", to: "127.0.0.1:1" }\n';
  await cli.home.profile('t', `${viaSshd(sshd)}forwards:\n${forwards}`);

  const ran = await cli.run('check', 't', '--json');

  expect(stepsOf(ran.stdout).slice(5)).toEqual([
    'channel TARGET_PROHIBITED',
    'listen FORWARD_REFUSED',
    'TCP TARGET_REFUSED',
  ]);
  expect(ran.stdout.match(/AllowTcpForwarding/g)).toHaveLength(2);
});

// A port that another program holds, and an address of another machine, were "ok" all the way.
test('check NAME tries to bind what up would, unless the tunnel runs', async () => {
  await using cli = await tunnelCli();
  await using sshd = await startSshd();
  const mail = await startPop3Server();
  const service = `127.0.0.1:${mail.port}`;
  const port = await freePort();
  const elsewhere = `{ local: "192.0.2.1:auto", to: "${service}", gateway: true }`;
  const forwards = [`"${service} -> ${service}"`, elsewhere, `"unix:/run/own.sock -> ${service}"`];
  await cli.home.profile('bad', `${viaSshd(sshd)}forwards:\n${forwards.map((one) => `  - ${one}\n`).join('')}`);
  await cli.home.profile('good', `${viaSshd(sshd)}forwards:\n  - 127.0.0.1:${port} -> ${service}\n`);

  const bad = await cli.run('check', 'bad', '--json');
  const before = await cli.run('check', 'good', '--json');
  await cli.ok('up', 'good');
  const running = await cli.run('check', 'good', '--json');
  await mail.close();

  expect(stepsOf(bad.stdout).slice(0, 3)).toEqual(['bind BIND_IN_USE', 'bind BIND_UNAVAILABLE', 'DNS ok']);
  expect([bad.code, before.code, running.code]).toEqual([6, 0, 0]);
  expect([stepsOf(before.stdout)[0], stepsOf(running.stdout)[0]]).toEqual(['bind ok', 'DNS ok']);
});

function stepsOf(stdout = ''): string[] {
  const { steps } = JSON.parse(stdout) as { steps: { step: string; ok: boolean; error: { code: string } | null }[] };
  return steps.map(({ step, error }) => `${step} ${error?.code ?? 'ok'}`);
}
