import { execFile } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { removeKnownHost } from '../../src/files/known-hosts-remove.ts';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import { formatKnownHost } from '../../src/known-hosts/parse.ts';
import { judgeHostKey } from '../../src/known-hosts/verdict.ts';
import { makeKey } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const run = promisify(execFile);
const TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;

let made: TempHome;
let home: TempHome;
let file: string;
/** `TYPE BASE64` of a real key of each type. */
let keys: readonly string[];

beforeAll(async () => {
  made = await tempHome();
  keys = await Promise.all(
    TYPES.map(async (type) => {
      await makeKey(join(made.dir, type), type);
      return (await readFile(join(made.dir, `${type}.pub`), 'utf8')).split(' ').slice(0, 2).join(' ');
    }),
  );
});
afterAll(() => made.remove());
beforeEach(async () => {
  home = await tempHome();
  file = join(home.dir, 'known_hosts');
});
afterEach(() => home.remove());

const blob = (key: string): Buffer => Buffer.from(key.split(' ')[1] ?? '', 'base64');
/** The lines of a host that `ssh-keygen -F` finds. */
async function found(name: string): Promise<readonly string[]> {
  const { stdout } = await run('ssh-keygen', ['-F', name, '-f', file]).catch(() => ({ stdout: '' }));
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** A file as it grows over the years: every sort of line that both programs take for whole. */
function grownFile(): Buffer {
  const [ed25519 = '', ecdsa = '', rsa = ''] = keys;
  const hidden = (name: string): string => formatKnownHost(name, blob(ed25519), Buffer.alloc(20, 7));
  const lines = [
    '# my hosts',
    '',
    `pop.example.org ${ed25519}`,
    `pop.example.org,10.0.0.1 ${rsa} with a comment  and  blanks `,
    `[pop.example.org]:2222 ${ed25519}`,
    `[pop.example.org]:2222,[10.0.0.1]:2222 ${ecdsa} x`,
    `imap.example.org\t${ecdsa}\tcaf\xe9 of another encoding`,
    `  imap.example.org ${rsa}\r`,
    `*.example.org,!imap.example.org ${rsa} wild`,
    `@cert-authority *.example.org ${ed25519} the authority`,
    `@revoked pop.example.org ${ecdsa}`,
    hidden('hidden.example.org'),
    `${hidden('[hidden.example.org]:2222')} hidden too`,
    '   # indented',
    '',
  ];
  return Buffer.from(lines.join('\n'), 'latin1');
}

describe('with ssh-keygen on one file', () => {
  test.each([
    'pop.example.org',
    '[pop.example.org]:2222',
    '10.0.0.1',
    '[10.0.0.1]:2222',
    'imap.example.org',
    'hidden.example.org',
    '[hidden.example.org]:2222',
    'new.example.org',
    'nobody',
  ])('removing %s leaves byte for byte what `ssh-keygen -R` leaves', async (name) => {
    const theirs = join(home.dir, 'theirs');
    await writeFile(file, grownFile());
    await copyFile(file, theirs);

    await removeKnownHost(file, name);
    await run('ssh-keygen', ['-q', '-R', name, '-f', theirs]);

    expect((await readFile(file)).toString('latin1')).toBe((await readFile(theirs)).toString('latin1'));
  });

  test.each(['pop.example.org', '[pop.example.org]:2222', '::1', '[::1]:2222', '192.0.2.1', '[192.0.2.1]:2222'])(
    'keys recorded under %s, plain and hidden, are found by -F and removed by -R',
    async (name) => {
      await writeFile(file, `# mine\nother.example.org ${keys[0] ?? ''}\n`);
      for (const [index, key] of keys.entries()) await appendKnownHost(file, name, blob(key), index > 0);

      const before = await found(name);
      await run('ssh-keygen', ['-q', '-R', name, '-f', file]);

      expect(before.map((line) => line.split(' ').slice(1).join(' '))).toEqual(keys);
      expect(await readFile(file, 'utf8')).toBe(`# mine\nother.example.org ${keys[0] ?? ''}\n`);
    },
  );

  test('what -H has hidden is known, recorded beside and removed as before', async () => {
    const [ed25519 = '', ecdsa = '', rsa = ''] = keys;
    for (const name of ['pop.example.org', '[pop.example.org]:2222', 'imap.example.org'])
      await appendKnownHost(file, name, blob(ed25519), false);
    await run('ssh-keygen', ['-q', '-H', '-f', file]);

    const { entries } = await readKnownHosts([file]);
    const verdicts = [ed25519, ecdsa].map((key) => judgeHostKey(entries, '[pop.example.org]:2222', blob(key)).kind);
    await appendKnownHost(file, '[pop.example.org]:2222', blob(rsa), false);
    const both = await found('[pop.example.org]:2222');
    const removed = await removeKnownHost(file, '[pop.example.org]:2222');

    expect(verdicts).toEqual(['match', 'new']);
    expect(both).toHaveLength(2);
    expect(removed.map(({ hosts }) => hosts.slice(0, 3))).toEqual(['|1|', '|1|']);
    expect([await found('pop.example.org'), await found('[pop.example.org]:2222')]).toEqual([
      [expect.stringContaining(ed25519)],
      [],
    ]);
    expect(await readFile(file, 'utf8')).not.toContain('example');
  });
});

test('lines that nobody understands stay byte for byte, where ssh-keygen gives up', async () => {
  const odd = Buffer.from(
    ['@wrong x y z', 'pop.example.org', 'pop.example.org ssh-new not*base64', '\x00\xff\xfe', '1024 35 12'].join('\n'),
    'latin1',
  );
  await writeFile(file, Buffer.concat([odd, Buffer.from(`\npop.example.org ${keys[0] ?? ''}\nlast without end`)]));

  const removed = await removeKnownHost(file, 'pop.example.org');

  expect(removed).toHaveLength(1);
  expect(await readFile(file)).toEqual(Buffer.concat([odd, Buffer.from('\nlast without end')]));
});

test('a key that is recorded already is not recorded twice; a device remembers nothing', async () => {
  await appendKnownHost(file, 'pop.example.org', blob(keys[0] ?? ''), false);
  const once = await readFile(file, 'utf8');
  await appendKnownHost(file, 'pop.example.org', blob(keys[0] ?? ''), true);
  await appendKnownHost('/dev/null', 'pop.example.org', blob(keys[0] ?? ''), false);

  expect(await readFile(file, 'utf8')).toBe(once);
  expect(await removeKnownHost('/dev/null', 'pop.example.org')).toEqual([]);
});
