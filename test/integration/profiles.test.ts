import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planResolver, validateProfile, type PlanResolver } from '../../src/compose-plan.ts';
import { appPaths, type Paths } from '../../src/files/paths.ts';
import {
  findProfile,
  listProfiles,
  readProfileText,
  removeProfile,
  renameProfile,
  writeProfile,
} from '../../src/files/profiles.ts';
import { isTrusted, trustProfile, untrustProfile } from '../../src/files/trusted.ts';
import { TunnelError } from '../../src/model/failure.ts';

const PLAIN = 'via: alice@pop\nforwards:\n  - localhost:113 -> pop:113\n';

let home = '';
let paths: Paths;
let resolve: PlanResolver;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tunnel-profiles-'));
  const env = { ...process.env, HOME: home, TUNNEL_HOME: join(home, 'tunnel') };
  paths = appPaths({ env, platform: process.platform, home, uid: 1000, tmp: tmpdir() });
  resolve = planResolver(paths, { env });
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** Writes a file under the home, with the folders it needs. */
async function put(path: string, content: string | Uint8Array): Promise<string> {
  const file = join(home, path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, content);
  return file;
}
const failureOf = (promise: Promise<unknown>): Promise<TunnelError> =>
  promise.then(
    () => Promise.reject(new Error('it went well')),
    (error: unknown) => (error instanceof TunnelError ? error : Promise.reject(error as Error)),
  );

describe('where a profile is found', () => {
  test('by name: the nearest .tunnel above the working directory, then the own ones', async () => {
    const own = await put('tunnel/profiles/pop.yaml', PLAIN);
    const far = await put('work/.tunnel/pop.yaml', PLAIN);
    const near = await put('work/a/.tunnel/pop.yaml', PLAIN);
    await mkdir(join(home, 'work/a/b'));
    const from = (cwd: string) => findProfile('pop', join(home, cwd), paths);

    expect(await from('work/a/b')).toEqual({ name: 'pop', file: near, origin: 'project' });
    expect(await from('work')).toEqual({ name: 'pop', file: far, origin: 'project' });
    expect(await from('.')).toEqual({ name: 'pop', file: own, origin: 'home' });
  });

  test('by path: kept absolute, named by its base name', async () => {
    expect(await findProfile('./x/pop.yml', '/w', paths)).toEqual({
      name: 'pop',
      file: '/w/x/pop.yml',
      origin: 'path',
    });
    expect(await findProfile('pop.yaml', '/w', paths)).toEqual({ name: 'pop', file: '/w/pop.yaml', origin: 'path' });
    expect(await findProfile('.tunnel/pop.yaml', '/w', paths)).toMatchObject({ origin: 'project' });
    expect((await failureOf(findProfile('./Bad Name.yaml', '/w', paths))).code).toBe('USAGE');
  });

  test('a mistyped name is answered with the nearest one', async () => {
    await put('tunnel/profiles/pop-mail.yaml', PLAIN);

    const failure = await failureOf(resolve('pop-mial', { cwd: home }));

    expect(failure).toMatchObject({ code: 'PROFILE_NOT_FOUND', exit: 3 });
    expect(failure.message).toContain('did you mean `pop-mail`?');
  });

  test.each(['../pop', '..', '.pop', 'POP', 'a b', 'pop\u001b[31m', ''])('%j is no name of a profile', async (name) => {
    await put('tunnel/pop.yaml', PLAIN);

    const failure = await failureOf(resolve(name, { cwd: home }));

    expect(failure.code).toBe('PROFILE_NOT_FOUND');
    expect(failure.message).not.toContain('\u001b');
  });

  test('every profile is listed once, whatever else lies in the folders', async () => {
    await put('tunnel/profiles/b.yaml', PLAIN);
    await put('tunnel/profiles/a.yaml', 'nonsense');
    await put('tunnel/profiles/.hidden.yaml', PLAIN);
    await put('tunnel/profiles/note.txt', PLAIN);
    await put('w/.tunnel/b.yaml', PLAIN);

    const listed = await listProfiles(join(home, 'w'), paths);

    expect(listed.map(({ name, origin }) => [name, origin])).toEqual([
      ['a', 'home'],
      ['b', 'project'],
    ]);
    expect(await listProfiles('/nowhere', { ...paths, profilesDir: join(home, 'absent') })).toEqual([]);
  });
});

describe('a file that can be no profile gives one clear line', () => {
  const cases: readonly [string, () => Promise<string>, string][] = [
    ['a folder', async () => join(await put('x.yaml/y', ''), '..'), 'it is a folder'],
    ['larger than 1 MiB', () => put('x.yaml', '#'.repeat(1024 * 1024 + 1)), 'it is larger than 1 MiB'],
    ['UTF-16', () => put('x.yaml', Buffer.from('\ufeffvia: pop', 'utf16le')), 'it is UTF-16: save it as UTF-8'],
    ['Latin-1', () => put('x.yaml', Buffer.from('via: caf\u00e9\n', 'latin1')), 'it is not UTF-8 text'],
    [
      'a link to nothing',
      async () => {
        await symlink(join(home, 'absent'), join(home, 'x.yaml'));
        return join(home, 'x.yaml');
      },
      'it is a link to nothing',
    ],
    [
      'a link to itself',
      async () => {
        await symlink(join(home, 'x.yaml'), join(home, 'x.yaml'));
        return join(home, 'x.yaml');
      },
      'it is a link that leads in a circle',
    ],
  ];
  test.each(cases)('%s', async (_, make, why) => {
    const file = await make();

    const failure = await failureOf(resolve(file, { cwd: home }));

    expect(failure).toMatchObject({ code: 'PROFILE_INVALID', exit: 2, message: `Cannot read ${file}: ${why}` });
    expect(await validateProfile(file)).toEqual([{ file, line: 1, column: 1, message: `cannot be read: ${why}` }]);
  });

  test('no file at all is no profile', async () => {
    expect(await failureOf(resolve(join(home, 'absent.yaml'), { cwd: home }))).toMatchObject({
      code: 'PROFILE_NOT_FOUND',
      exit: 3,
    });
  });
});

describe('writing', () => {
  test('makes the folders 0700 and the file 0600, and leaves nothing else behind', async () => {
    const file = join(home, 'new/profiles/pop.yaml');

    await writeProfile(file, PLAIN);

    const modes = await Promise.all(
      [file, join(file, '..'), join(file, '../..')].map(async (path) => (await stat(path)).mode & 0o777),
    );
    expect(modes).toEqual([0o600, 0o700, 0o700]);
    expect(await readdir(join(file, '..'))).toEqual(['pop.yaml']);
    expect(await readProfileText(file)).toBe(PLAIN);
  });

  test('writes through a link, so that it stays one', async () => {
    const real = await put('dotfiles/pop.yaml', 'old');
    const file = join(home, 'pop.yaml');
    await symlink(real, file);

    await writeProfile(file, PLAIN);

    expect(await readFile(real, 'utf8')).toBe(PLAIN);
  });

  test('never renames over a profile that is there', async () => {
    const [a, b] = [await put('a.yaml', 'a'), await put('b.yaml', 'b')];

    expect((await failureOf(renameProfile(a, b))).message).toContain('is there already');
    await renameProfile(a, join(home, 'c.yaml'));
    await removeProfile(b);

    expect((await readdir(home)).filter((name) => name.endsWith('.yaml'))).toEqual(['c.yaml']);
    expect((await failureOf(removeProfile(b))).code).toBe('FILE');
  });
});

describe('a profile of a working directory', () => {
  const HOOKED = `${PLAIN}hooks: { up: 'touch x' }\n`;

  test('that does nothing of its own is used as it is', async () => {
    await put('w/.tunnel/pop.yaml', PLAIN);

    expect((await resolve('pop', { cwd: join(home, 'w') })).name).toBe('pop');
  });

  test('that runs commands is refused until it is trusted, and again once it has changed', async () => {
    const file = await put('w/.tunnel/pop.yaml', HOOKED);
    const caller = { cwd: join(home, 'w') };

    const before = await failureOf(resolve('pop', caller));
    await trustProfile(file, paths);
    const trusted = await resolve('pop', caller);
    await writeFile(file, HOOKED.replace('touch x', 'touch y'));
    const after = await failureOf(resolve('pop', caller));

    expect(before).toMatchObject({ code: 'PROFILE_UNTRUSTED', exit: 2 });
    expect(before.message).toContain('it runs hooks');
    expect(trusted.hooks.up).toBe('touch x');
    expect(after.code).toBe('PROFILE_UNTRUSTED');
  });

  test('is asked for by its path no differently', async () => {
    const file = await put('w/.tunnel/pop.yaml', HOOKED);

    expect((await failureOf(resolve(file, { cwd: '/' }))).code).toBe('PROFILE_UNTRUSTED');
  });

  test('the own profiles need no trust', async () => {
    await put('tunnel/profiles/pop.yaml', HOOKED);

    expect((await resolve('pop', { cwd: home })).hooks.up).toBe('touch x');
  });

  test('trust can be taken back, and a damaged record trusts nothing', async () => {
    const file = await put('w/.tunnel/pop.yaml', HOOKED);
    await trustProfile(file, paths);

    expect(await isTrusted(file, HOOKED, paths)).toBe(true);
    expect(await untrustProfile(file, paths)).toBe(true);
    expect(await untrustProfile(file, paths)).toBe(false);
    await trustProfile(file, paths);
    await writeFile(join(paths.stateDir, 'trusted.json'), '{"profiles": ');
    expect(await isTrusted(file, HOOKED, paths)).toBe(false);
  });
});

describe('a plan', () => {
  test('takes over what ssh_config of the home says, jump hosts included', async () => {
    await put(
      '.ssh/config',
      'Host pop\n HostName 10.0.0.1\n ProxyJump jump\n IdentityFile ~/.ssh/%n\nHost jump\n Port 2222\n',
    );
    await put('tunnel/profiles/pop.yaml', PLAIN);

    const plan = await resolve('pop', { cwd: home });

    expect(plan.hops.map(({ label, host, port, user }) => ({ label, host, port, user }))).toMatchObject([
      { label: 'jump', host: 'jump', port: 2222 },
      { label: 'alice@pop', host: '10.0.0.1', port: 22, user: 'alice' },
    ]);
    expect(plan.hops[1]?.identities).toEqual([{ file: join(home, '.ssh/pop'), explicit: true }]);
    expect(plan.hops[1]?.knownHosts[0]).toBe(join(home, '.ssh/known_hosts'));
  });

  test('is the same without an ssh', async () => {
    await put(
      '.ssh/config',
      'Host pop\n HostName 10.0.0.1\n ProxyJump jump\n IdentityFile ~/.ssh/%n\n Ciphers aes128-ctr\n',
    );
    await put('tunnel/profiles/pop.yaml', PLAIN);
    const env = { ...process.env, HOME: home };

    const withSsh = await planResolver(paths, { env })('pop', { cwd: home });
    const without = await planResolver(paths, { env, ssh: join(home, 'no-ssh') })('pop', { cwd: home });

    expect(without).toEqual(withSsh);
  });

  test('asks nothing and nobody with sshConfig: none', async () => {
    await put('.ssh/config', 'Host *\n Port 2222\n');
    const file = await put('tunnel/profiles/pop.yaml', `sshConfig: none\n${PLAIN}`);

    expect((await resolve(file, { cwd: home })).hops[0]).toMatchObject({ host: 'pop', port: 22 });
  });

  test('fails with every problem at its line', async () => {
    const file = await put('tunnel/profiles/pop.yaml', 'viaa: pop\nforwards:\n  - 0.0.0.0:1 -> a:1\n');

    const failure = await failureOf(resolve('pop', { cwd: home }));

    expect(failure).toMatchObject({ code: 'PROFILE_INVALID', exit: 2 });
    expect(failure.problems.map(({ line, column }) => [line, column])).toEqual([
      [1, 1],
      [3, 5],
    ]);
    expect(failure.problems.every((problem) => problem.file === file)).toBe(true);
  });

  test('a mistake in ssh_config is a problem of the server that leads to it', async () => {
    await put('.ssh/config', 'Host pop\n Prot 22\n');
    const file = await put('tunnel/profiles/pop.yaml', PLAIN);

    const problems = await validateProfile(file, { env: { ...process.env, HOME: home } });

    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ file, line: 1, column: 6 });
    expect(problems[0]?.message).toContain('Bad configuration option: prot');
  });
});
