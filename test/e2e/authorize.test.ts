import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tunnelCli } from '../support/tunnel-cli.ts';

const MAIL = 'via: alice@pop.invalid # the server\nsshConfig: none\nforwards:\n  - localhost:1113 -> pop.invalid:113\n';

describe('authorize without a word more', () => {
  test('makes a key that is private, once, and prints one line on stdout', { timeout: 30_000 }, async () => {
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

function blobOf(line: string): string {
  return / ssh-ed25519 (\S+)/.exec(line)?.[1] ?? '';
}
