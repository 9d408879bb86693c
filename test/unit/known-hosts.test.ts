import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { removeKnownHost } from '../../src/files/known-hosts-remove.ts';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import { hashHost, knownHostName, matchesHost } from '../../src/known-hosts/match.ts';
import { formatKnownHost, keyTypeOf, parseKnownHosts } from '../../src/known-hosts/parse.ts';
import { fingerprint, judgeHostKey, knownKeyTypes } from '../../src/known-hosts/verdict.ts';
import { wireString } from '../../src/model/wire.ts';
import { makeKey } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const run = promisify(execFile);

/** A key that looks real: its type and some bytes. */
function aKey(seed: number, type = 'ssh-ed25519'): Buffer {
  return Buffer.concat([wireString(type), wireString(Buffer.alloc(32, seed))]);
}
function line(hosts: string, key: Buffer): string {
  return `${hosts} ${keyTypeOf(key)} ${key.toString('base64')}`;
}

describe('the host field', () => {
  test.each([
    ['pop.example.org', 'pop.example.org', true],
    ['POP.example.org', 'pop.example.org', true],
    ['pop.example.org', 'pop.example.com', false],
    ['a,b,pop.example.org', 'pop.example.org', true],
    ['*.example.org', 'pop.example.org', true],
    ['*.example.org', 'example.org', false],
    ['p?p.example.org', 'pop.example.org', true],
    ['p?p.example.org', 'ppp', false],
    ['*.example.org,!pop.example.org', 'pop.example.org', false],
    ['!pop.example.org,*.example.org', 'pop.example.org', false],
    ['!pop.example.org', 'imap.example.org', false],
    ['[pop.example.org]:2222', '[pop.example.org]:2222', true],
    ['[pop.example.org]:2222', 'pop.example.org', false],
    ['[*.example.org]:2222', '[pop.example.org]:2222', true],
    ['[127.0.0.1]:*', '[127.0.0.1]:40123', true],
    ['*', '', true],
    ['', 'pop.example.org', false],
    [hashHost('pop.example.org', Buffer.alloc(20, 7)), 'pop.example.org', true],
    [hashHost('pop.example.org', Buffer.alloc(20, 7)), 'imap.example.org', false],
    ['|2|AAAA|BBBB', 'pop.example.org', false],
    ['|1|', 'pop.example.org', false],
  ])('%j speaks of %j: %j', (hosts, name, expected) => {
    expect(matchesHost(hosts, name)).toBe(expected);
  });

  test('a pattern made to be slow is decided at once', () => {
    const before = process.cpuUsage();
    expect(matchesHost(`${'*a'.repeat(40)}b`, 'a'.repeat(200))).toBe(false);
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(500);
  });

  test('the name has brackets and a port off port 22 only', () => {
    expect([knownHostName('Pop.Example.org', 22), knownHostName('::1', 22), knownHostName('::1', 2222)]).toEqual([
      'pop.example.org',
      '::1',
      '[::1]:2222',
    ]);
  });
});

describe('a known_hosts file', () => {
  test('is read with markers, comments and CRLF, and says what it skipped', () => {
    const text = [
      '# a comment',
      '',
      `${line('pop.example.org', aKey(1))} added by hand\r`,
      `@revoked ${line('*', aKey(2))}`,
      `\t@cert-authority ${line('*.example.org', aKey(3))}`,
      `@wrong ${line('x', aKey(4))}`,
      'pop.example.org',
      'pop.example.org ssh-ed25519',
      'pop.example.org ssh-ed25519 not*base64',
      `pop.example.org ssh-rsa ${aKey(5).toString('base64')}`,
      'pop.example.org 1024 35 1234567890',
    ].join('\n');

    const { entries, problems } = parseKnownHosts(text, '/kh');

    expect(entries.map(({ line: at, marker, hosts, comment }) => [at, marker, hosts, comment])).toEqual([
      [3, 'none', 'pop.example.org', 'added by hand'],
      [4, 'revoked', '*', ''],
      [5, 'cert-authority', '*.example.org', ''],
    ]);
    expect(problems.map((problem) => [problem.file, problem.line, problem.message])).toEqual([
      ['/kh', 6, 'unknown marker @wrong'],
      ['/kh', 7, 'no key on the line'],
      ['/kh', 8, 'no key on the line'],
      ['/kh', 9, 'the key is not base64'],
      ['/kh', 10, 'the key is not of the type ssh-rsa that the line names'],
      ['/kh', 11, 'a key of SSH protocol 1, which nothing uses any more'],
    ]);
  });
});

describe('the verdict', () => {
  const name = '[pop.example.org]:2222';
  const known = (...lines: string[]) => parseKnownHosts(lines.join('\n'), '/kh').entries;
  const judge = (key: Buffer, ...lines: string[]) => {
    const verdict = judgeHostKey(known(...lines), name, key, 'pop.example.org');
    return 'entry' in verdict ? [verdict.kind, verdict.entry.line] : [verdict.kind];
  };

  test('is match, new, changed or revoked', () => {
    expect(judge(aKey(1), line(name, aKey(1)))).toEqual(['match', 1]);
    expect(judge(aKey(1))).toEqual(['new']);
    expect(judge(aKey(1), line('other', aKey(1)))).toEqual(['new']);
    expect(judge(aKey(1), '', line(name, aKey(2)))).toEqual(['changed', 2]);
    expect(judge(aKey(1), line(name, aKey(1)), `@revoked ${line('*', aKey(1))}`)).toEqual(['revoked', 2]);
  });

  test('a match in any line outweighs another key, as for a host with two servers', () => {
    expect(judge(aKey(1), line(name, aKey(2)), line(name, aKey(1)))).toEqual(['match', 2]);
  });

  test('a key of another type is new, and says what is known', () => {
    const verdict = judgeHostKey(known(line(name, aKey(1, 'ssh-rsa'))), name, aKey(1));
    expect(verdict).toMatchObject({ kind: 'new', others: [{ keyType: 'ssh-rsa' }], certAuthority: false });
  });

  test('a certificate authority is no match for a plain key, and is told', () => {
    const entries = known(`@cert-authority ${line(name, aKey(1))}`);
    expect(judgeHostKey(entries, name, aKey(1))).toEqual({ kind: 'new', others: [], certAuthority: true });
  });

  test('off port 22 the bare name counts for a match and never for a change, as in OpenSSH', () => {
    expect(judge(aKey(1), line('pop.example.org', aKey(1)))).toEqual(['match', 1]);
    expect(judge(aKey(1), line('pop.example.org', aKey(2)))).toEqual(['new']);
  });

  test('the types to ask for first are those of plain keys', () => {
    const entries = known(
      line(name, aKey(1, 'ssh-rsa')),
      line('pop.example.org', aKey(1)),
      `@revoked ${line(name, aKey(1, 'ssh-dss'))}`,
    );
    expect(knownKeyTypes(entries, name, 'pop.example.org')).toEqual(['ssh-rsa', 'ssh-ed25519']);
  });
});

describe('the files', () => {
  let home: TempHome;
  let file: string;
  beforeEach(async () => {
    home = await tempHome();
    file = join(home.dir, 'ssh', 'known_hosts');
  });
  afterEach(() => home.remove());

  test('a recorded key is found again, and by ssh-keygen too', async () => {
    await appendKnownHost(file, '[pop.example.org]:2222', aKey(1), false);
    await appendKnownHost(file, 'imap.example.org', aKey(2), true);

    const { entries, problems } = await readKnownHosts([join(home.dir, 'none'), file]);
    expect([entries.length, problems]).toEqual([2, []]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(home.dir, 'ssh'))).mode & 0o777).toBe(0o700);
    expect((await run('ssh-keygen', ['-F', '[pop.example.org]:2222', '-f', file])).stdout).toContain('found: line 1');
    expect((await run('ssh-keygen', ['-F', 'imap.example.org', '-f', file])).stdout).toContain('found: line 2');
    expect(await readFile(file, 'utf8')).not.toContain('imap');
  });

  test('a name is hidden where the file already hides names, as ssh-keygen -H leaves it', async () => {
    await appendKnownHost(file, 'pop.example.org', aKey(1), false);
    await run('ssh-keygen', ['-H', '-f', file]);
    await appendKnownHost(file, 'imap.example.org', aKey(2), false);

    const { entries } = await readKnownHosts([file]);
    expect(entries.every((entry) => entry.hosts.startsWith('|1|'))).toBe(true);
    expect(judgeHostKey(entries, 'pop.example.org', aKey(1)).kind).toBe('match');
  });

  test('a last line without its end is not glued to the new one', async () => {
    await mkdir(join(home.dir, 'ssh'));
    await writeFile(file, line('pop.example.org', aKey(1)));
    await appendKnownHost(file, 'imap.example.org', aKey(2), false);

    expect(await readFile(file, 'utf8')).toBe(
      `${line('pop.example.org', aKey(1))}\n${line('imap.example.org', aKey(2))}\n`,
    );
  });

  test('removing a host leaves markers, comments, mode and links as they are', async () => {
    const target = join(home.dir, 'real');
    const kept = ['# mine', line('*.example.com', aKey(3)), `@revoked ${line('pop.example.org', aKey(4))}`];
    const salt = Buffer.alloc(20, 1);
    await writeFile(
      target,
      [...kept, line('pop.example.org,1.2.3.4', aKey(1)), formatKnownHost('pop.example.org', aKey(2), salt), ''].join(
        '\n',
      ),
    );
    await chmod(target, 0o640);
    await mkdir(join(home.dir, 'ssh'));
    await symlink(target, file);

    expect((await removeKnownHost(file, 'pop.example.org')).map((gone) => gone.line)).toEqual([4, 5]);
    expect(await readFile(target, 'utf8')).toBe([...kept, ''].join('\n'));
    expect((await stat(target)).mode & 0o777).toBe(0o640);
    expect(await removeKnownHost(file, 'pop.example.org')).toEqual([]);
  });

  test('a file that cannot be read is an error and never "unknown host"', async () => {
    await expect(readKnownHosts([home.dir])).rejects.toMatchObject({ code: 'FILE' });
  });

  test('a fingerprint is the one that ssh-keygen prints', async () => {
    const key = join(home.dir, 'key');
    await makeKey(key, 'ecdsa');
    const [, encoded = ''] = (await readFile(`${key}.pub`, 'utf8')).split(' ');
    const { stdout } = await run('ssh-keygen', ['-l', '-f', key]);
    expect(stdout).toContain(` ${fingerprint(Buffer.from(encoded, 'base64'))} `);
  });
});
