import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startSshd } from '../support/sshd.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const PROFILE = `via:
  - host: pop
    port: 2222
keepalive:
  maxMissed: 5
forwards:
  - localhost:1113 -> pop.example.org:113
`;
const CONFIG = `Host pop
  HostName pop.example.org
  User alice
  ProxyJump bob@bastion
  PKCS11Provider /usr/lib/x.so
Host *
  ServerAliveInterval 20
`;

async function prepared(): Promise<{ readonly cli: TunnelCli; readonly file: string; readonly config: string }> {
  const cli = await tunnelCli();
  const config = join(cli.home.dir, '.ssh', 'config');
  await mkdir(join(cli.home.dir, '.ssh'));
  await writeFile(config, CONFIG, { mode: 0o600 });
  return { cli, file: await cli.home.profile('pop-mail', PROFILE), config };
}

interface Explanation {
  readonly values: readonly { readonly path: string; readonly value: unknown; readonly source: unknown }[];
  readonly warnings: readonly string[];
}

test.each([
  ['ssh -G', {}],
  ['library', { PATH: '/nowhere' }],
])('explain --json names the source of every value, read by %s', async (reader, env) => {
  const { cli, file, config } = await prepared();
  await using _cli = cli;

  const ran = await cli.runWith({ env }, 'explain', 'pop-mail', '--json');

  const { values, warnings } = JSON.parse(ran.stdout) as Explanation;
  const inConfig = (option: string, line: number) => ({ kind: 'ssh_config', option, reader, file: config, line });
  const rows = (...paths: readonly string[]) =>
    paths.map((path) => values.filter((value) => value.path === path).map(({ value, source }) => [value, source]));
  expect(
    rows('hops[0].host', 'hops[0].port', 'hops[1].host', 'hops[1].port', 'hops[1].user', 'keepalive.intervalMs'),
  ).toEqual([
    [['bastion', inConfig('ProxyJump', 4)]],
    [[22, { kind: 'default' }]],
    [['pop.example.org', inConfig('HostName', 2)]],
    [[2222, { kind: 'profile', file, line: 3, column: 11 }]],
    [['alice', inConfig('User', 3)]],
    [[20_000, inConfig('ServerAliveInterval', 7)]],
  ]);
  expect(rows('keepalive.maxMissed', 'timeouts.loginMs', 'forwards[0].target')).toEqual([
    [[5, { kind: 'profile', file, line: 5, column: 14 }]],
    [[30_000, { kind: 'default' }]],
    [
      [
        { kind: 'tcp', host: 'pop.example.org', port: 113 },
        { kind: 'profile', file, line: 7, column: 5 },
      ],
    ],
  ]);
  expect(warnings).toEqual(['ssh_config: pkcs11provider is not honoured']);
  expect(ran.code).toBe(0);
});

test('explain prints a table for people, and what is not honoured on stderr', async () => {
  const { cli, config } = await prepared();
  await using _cli = cli;

  const ran = await cli.run('explain', 'pop-mail');

  expect(ran.stdout).toMatch(/^jump host 1: bob@bastion$/m);
  expect(ran.stdout).toMatch(/^ {2}port +2222 +profile, line 3$/m);
  expect(ran.stdout).toMatch(/^ {2}login +30s +default$|^ {2}timeouts\.login +30s +default$/m);
  expect(ran.stdout).toContain(`${config}:3 User (read by ssh -G)`);
  expect(ran.stderr).toBe('ssh_config: pkcs11provider is not honoured\n');
});

test('every value of the plan has a source', async () => {
  const { cli } = await prepared();
  await using _cli = cli;

  const { plan } = JSON.parse((await cli.ok('show', 'pop-mail', '--json')).stdout) as { plan: object };
  const { values } = JSON.parse((await cli.ok('explain', 'pop-mail', '--json')).stdout) as Explanation;

  const explained = new Set(values.map(({ path }) => path));
  const missing = leaves(plan, '').filter(
    (path) => !/\.(keysAsOf|trustedAs)$/.test(path) && ![...explained].some((known) => path.startsWith(known)),
  );
  expect(missing.filter((path) => !/^(name|file|description|tags|warnings|limits\.perLocalClient)/.test(path))).toEqual(
    [],
  );
});

/** The paths of all values that are no objects. */
function leaves(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  const into = (key: string): string =>
    Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, into(key)));
}

test('explain of a name that is not there ends with 3', async () => {
  await using cli = await tunnelCli();

  expect(await cli.run('explain', 'absent')).toMatchObject({ code: 3, stdout: '' });
});

test('up, restart and reload say what of ssh_config is left out, once for as long as it stays so', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const config = join(cli.home.dir, 'config');
  const lines = [
    'HostName 127.0.0.1',
    `Port ${sshd.port}`,
    `User ${sshd.user}`,
    `IdentityFile ${sshd.identityFile}`,
    `UserKnownHostsFile ${sshd.knownHostsFile}`,
  ];
  await writeFile(config, [...lines, 'PKCS11Provider /usr/lib/x.so'].join('\n'), { mode: 0o600 });
  for (const name of ['a', 'b']) {
    await cli.home.profile(name, `via: pop\nsshConfig: ${config}\nforwards: [ "127.0.0.1:auto -> 127.0.0.1:9" ]\n`);
  }

  const first = await cli.ok('up', 'a', 'b');
  const again = await cli.ok('up', 'a', 'b');
  await writeFile(config, [...lines, 'RequiredRSASize 2048', 'PKCS11Provider /usr/lib/x.so'].join('\n'));
  const reloaded = await cli.ok('reload', 'a');
  const restarted = await cli.ok('restart', 'a', 'b');

  expect([first, again, reloaded, restarted].map(({ stderr }) => stderr)).toEqual([
    'note: a, b: ssh_config: pkcs11provider is not honoured\n',
    '',
    'note: a: ssh_config: requiredrsasize is not honoured\n',
    'note: b: ssh_config: requiredrsasize is not honoured\n',
  ]);
});
