import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HopSpec } from '../../src/model/profile.ts';
import { readWithoutSsh } from '../../src/ssh-config/fallback.ts';
import { querySsh } from '../../src/ssh-config/query.ts';
import type { SshSettings } from '../../src/ssh-config/settings.ts';

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tunnel-ssh-config-'));
  await mkdir(join(home, '.ssh'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** Writes a file of ~/.ssh and returns its path. */
async function config(text: string, name = 'config'): Promise<string> {
  const file = join(home, '.ssh', name);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text, { mode: 0o600 });
  return file;
}
const bySsh = async (spec: HopSpec, file: string, ssh = 'ssh'): Promise<SshSettings> => {
  const answer = await querySsh(spec, { ssh, config: { kind: 'file', file }, env: process.env });
  if (answer === undefined) throw new Error('these tests need ssh');
  return answer;
};
const byLibrary = (spec: HopSpec, file: string): Promise<SshSettings> =>
  readWithoutSsh(spec, { kind: 'file', file }, { home, user: 'me', systemFile: '/nowhere/ssh_config' });

describe('ssh and the library read the same', () => {
  test.each<[string, string, HopSpec, Partial<SshSettings>]>([
    ['the first value wins', 'Host pop\n Port 1\nHost *\n Port 2\n User u\n', { host: 'pop' }, { port: 1, user: 'u' }],
    ['lines before the first Host', 'User u\nHost pop\n User v\n', { host: 'pop' }, { user: 'u' }],
    ['a list of patterns with a negation', 'Host *.lan !a.lan\n Port 7\n', { host: 'b.lan' }, { port: 7 }],
    [
      'an equals sign and quotes',
      'Host=pop\n User="u"\n IdentityFile "/a b/c"\n',
      { host: 'pop' },
      { user: 'u', identityFiles: ['/a b/c'] },
    ],
    [
      'identity files that add up',
      'Host pop\n IdentityFile /a\nHost *\n IdentityFile /b\n',
      { host: 'pop' },
      { identityFiles: ['/a', '/b'] },
    ],
    [
      'Match host',
      'Host pop\n HostName h.lan\nMatch host *.lan\n Compression yes\n',
      { host: 'pop' },
      { hostName: 'h.lan', compression: true },
    ],
    [
      'Match user by a user that is given',
      'Match user alice\n Compression yes\n',
      { host: 'pop', user: 'alice' },
      { compression: true },
    ],
    [
      'jumps and keepalive',
      'Host pop\n ProxyJump a@b:22,c\n ServerAliveInterval 9\n',
      { host: 'pop' },
      { proxyJump: 'a@b:22,c', serverAliveSeconds: 9 },
    ],
    [
      'a proxy command as it is',
      'Host pop\n ProxyCommand nc -X 5 %h %p\n',
      { host: 'pop' },
      { proxyCommand: 'nc -X 5 %h %p' },
    ],
    ['names in any case', 'HOST pop\n hostname h.lan\n pORT 5\n', { host: 'pop' }, { hostName: 'h.lan', port: 5 }],
    [
      'known hosts',
      'Host pop\n UserKnownHostsFile /a /b\n HostKeyAlias k\n',
      { host: 'pop' },
      { userKnownHosts: ['/a', '/b'], hostKeyAlias: 'k' },
    ],
  ])('%s', async (_, text, spec, expected) => {
    const file = await config(text);

    expect(await bySsh(spec, file)).toMatchObject({ source: 'ssh -G', ...expected });
    expect(await byLibrary(spec, file)).toMatchObject({ source: 'library', ...expected });
  });

  test('Include, with globs, nested, and what comes after it', async () => {
    await config('Host pop\n User included\n', 'd/1.conf');
    const nested = await config('Host pop\n Compression yes\n', 'd/deep/3.conf');
    await config(`Include ${nested}\nHost other\n Port 9\n`, 'd/2.conf');
    const file = await config(`Include ${join(home, '.ssh/d')}/*.conf\nPort 7\nHost pop\n User late\n`);
    const expected = { user: 'included', port: 7, compression: true };

    expect(await bySsh({ host: 'pop' }, file)).toMatchObject(expected);
    expect(await byLibrary({ host: 'pop' }, file)).toMatchObject({ ...expected, warnings: [] });
  });
});

describe('what only the library does', () => {
  test('no command of Match exec is run, and that is said', async () => {
    const proof = join(home, 'ran');
    const file = await config(`Match exec "touch ${proof}"\n Port 9\nHost pop\n Port 7\n`);

    const settings = await byLibrary({ host: 'pop' }, file);

    expect(settings.port).toBe(7);
    expect(settings.warnings.join()).toContain('Match exec');
    await expect(chmod(proof, 0o600)).rejects.toThrow('ENOENT');
  });

  test('a relative Include is one of ~/.ssh, one that includes itself is left out', async () => {
    await config('Include more\nHost pop\n Port 7\n', 'more');
    const file = await config('Include more\nInclude absent\n');

    const settings = await byLibrary({ host: 'pop' }, file);

    expect(settings.port).toBe(7);
    expect(settings.warnings.join()).toContain('includes itself');
  });

  test("the person's file comes before the system's, and both may be missing", async () => {
    const systemFile = await config('Port 9\nUser system\n', 'system');
    const usual = (system: string) =>
      readWithoutSsh({ host: 'pop' }, { kind: 'usual' }, { home, user: 'me', systemFile: system });
    const nobody = await usual('/nowhere/ssh_config');
    await config('Host pop\n Port 7\n');

    expect(await usual(systemFile)).toMatchObject({ port: 7, user: 'system' });
    expect(nobody).toMatchObject({ port: null, user: null, warnings: [] });
  });

  test.each(['Host\n', 'Match user\n', 'Host "a\n', 'IdentityFile\n'])(
    '%j is read or refused in plain words',
    async (text) => {
      const file = await config(text);

      const answer = await byLibrary({ host: 'pop' }, file).catch((error: unknown) => error);

      expect(answer).toSatisfy((one: { code?: string }) => one.code === undefined || one.code === 'PROFILE_INVALID');
    },
  );

  test('a file that was named and is not there is a mistake', async () => {
    await expect(byLibrary({ host: 'pop' }, join(home, 'absent'))).rejects.toMatchObject({ code: 'PROFILE_INVALID' });
  });
});

describe('asking ssh', () => {
  test('a mistake in ssh_config is told in the words of ssh', async () => {
    const file = await config('Host pop\n Prot 22\n');

    await expect(bySsh({ host: 'pop' }, file)).rejects.toMatchObject({
      code: 'PROFILE_INVALID',
      message: expect.stringMatching(/line 2: Bad configuration option: prot/) as string,
    });
  });

  test('without an ssh there is no answer', async () => {
    const options = { ssh: join(home, 'no-ssh'), config: { kind: 'none' } as const, env: process.env };

    expect(await querySsh({ host: 'pop' }, options)).toBeUndefined();
  });

  test('user and port that are given are asked with', async () => {
    const file = await config('Host pop\n User bob\n Port 1\n');

    expect(await bySsh({ host: 'pop', user: 'alice', port: 2 }, file)).toMatchObject({ user: 'alice', port: 2 });
  });

  test.each([
    { host: '-oProxyCommand=touch' },
    { host: 'a b' },
    { host: 'a\nb' },
    { host: '$(x)' },
    { host: 'a', user: '-x' },
  ])('%j is not handed to a program', async (spec) => {
    await expect(bySsh(spec, await config(''))).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('one that does not answer is given up after 5 s', async () => {
    const ssh = join(home, 'slow-ssh');
    await writeFile(ssh, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
    const startMs = performance.now();

    const answer = querySsh({ host: 'pop' }, { ssh, config: { kind: 'none' }, env: process.env });

    await expect(answer).rejects.toMatchObject({ code: 'TIMED_OUT' });
    expect(performance.now() - startMs).toBeLessThan(9_000);
  });
});
