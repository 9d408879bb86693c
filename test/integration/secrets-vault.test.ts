import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TunnelError } from '../../src/model/failure.ts';
import { Secret } from '../../src/model/secret.ts';
import type { SecretName } from '../../src/secrets/store.ts';
import { VaultKey } from '../../src/secrets/vault-key.ts';
import { Vault } from '../../src/secrets/vault.ts';
import { FakeClock } from '../support/fake-clock.ts';

const name: SecretName = { kind: 'password', subject: 'alice@pop.example.org:22' };
const other: SecretName = { kind: 'passphrase', subject: '/home/alice/.ssh/id_mail' };
const PASSPHRASE = 'correct horse';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnel-vault-'));
  file = join(folder, 'secrets', 'vault.json');
});
afterEach(() => rm(folder, { recursive: true }));

/** A process with a vault: `typed` is what its person answers, one after the other; then nobody is there. */
function opened(
  typed: readonly string[] = [],
  { keyFile, clock = new FakeClock() }: { keyFile?: string; clock?: FakeClock } = {},
) {
  const questions: string[] = [];
  const left = [...typed];
  const key = new VaultKey(clock, 60_000);
  const vault = new Vault({ file, keyFile, env: {}, key }, (question) => {
    questions.push(question.detail);
    const answer = left.shift();
    if (answer === undefined) return Promise.reject(new TunnelError('NEEDS_PERSON', 'Nobody is there'));
    return Promise.resolve(new Secret(answer));
  });
  const get = async (which: SecretName): Promise<string | undefined> => (await vault.get(which))?.reveal();
  return { vault, questions, get, key };
}

let made: string | undefined;
/** The same one for all tests: each scrypt takes its time. */
async function aVault(): Promise<void> {
  if (made === undefined) {
    const { vault } = opened([PASSPHRASE, PASSPHRASE]);
    await vault.set(name, new Secret('hünter 2'));
    await vault.set(other, new Secret('another'));
    made = await readFile(file, 'utf8');
  }
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, made, { mode: 0o600 });
}

type Json = Record<string, unknown> & {
  entries: Record<string, Record<string, string>>;
  dataKey: Record<string, string>;
};
async function edited(change: (vault: Json) => void): Promise<void> {
  const vault = JSON.parse(await readFile(file, 'utf8')) as Json;
  change(vault);
  await writeFile(file, JSON.stringify(vault));
}

const failed = (why: string): object => ({ code: 'SECRET_STORE', message: expect.stringContaining(why) as string });

describe('a vault', () => {
  test('is made with a passphrase typed twice, keeps secrets over processes, lists and forgets them', async () => {
    await aVault();
    const later = opened([PASSPHRASE]);
    expect([await later.get(name), await later.get(other)]).toEqual(['hünter 2', 'another']);
    expect(later.questions).toEqual(['']);
    expect(await later.vault.list()).toEqual([name, other]);
    expect([await later.vault.delete(name), await later.vault.delete(name)]).toEqual([true, false]);
    expect(await later.get(name)).toBeUndefined();
  });

  test('is one file that only its owner may read, and shows no value', async () => {
    await aVault();
    const [facts, around] = [await stat(file), await stat(dirname(file))];
    expect([(facts.mode & 0o777).toString(8), (around.mode & 0o777).toString(8)]).toEqual(['600', '700']);
    expect(await readdir(dirname(file))).toEqual(['vault.json']);
    const text = await readFile(file, 'utf8');
    for (const value of ['hünter 2', 'another', PASSPHRASE]) {
      expect(text).not.toContain(value);
      expect(text).not.toContain(Buffer.from(value).toString('base64'));
    }
  });

  test('asks nobody where it has no such secret, or is not there', async () => {
    expect(await opened().get(name)).toBeUndefined();
    await aVault();
    expect(await opened().get({ kind: 'totp', subject: 'x' })).toBeUndefined();
  });

  test('takes a new passphrase only if it is long enough and typed alike twice', async () => {
    const { vault, questions } = opened(['short', 'long enough', 'long enuogh', PASSPHRASE, PASSPHRASE]);
    await vault.prepare();
    expect(questions.map((text) => text.slice(0, 20))).toEqual([
      'There is no vault ye',
      'It must have 8 chara',
      '',
      'The two differ.',
      '',
    ]);
  });

  test('says that a passphrase is wrong, and asks again, thrice', async () => {
    await aVault();
    const lucky = opened(['wrong', PASSPHRASE]);
    expect(await lucky.get(name)).toBe('hünter 2');
    expect(lucky.questions).toEqual(['', 'That passphrase was wrong.']);
    await expect(opened(['a', 'b', 'c', PASSPHRASE]).get(name)).rejects.toMatchObject(
      failed('the passphrase was wrong'),
    );
  });

  test('that is locked needs a person', async () => {
    await aVault();
    await expect(opened().get(name)).rejects.toMatchObject({ code: 'NEEDS_PERSON' });
  });

  test('is asked for once by two who need it at the same time', async () => {
    await aVault();
    const { get, questions } = opened([PASSPHRASE]);
    expect(await Promise.all([get(name), get(other)])).toEqual(['hünter 2', 'another']);
    expect(questions).toEqual(['']);
  });

  test('is locked again after the set time, and its key wiped', async () => {
    await aVault();
    const clock = new FakeClock();
    const { get, questions } = opened([PASSPHRASE, PASSPHRASE], { clock });
    await get(name);
    await clock.advance(59_999);
    await get(name);
    expect(questions).toHaveLength(1);
    await clock.advance(1);
    await get(name);
    expect(questions).toHaveLength(2);
  });

  test('that another took the place of is asked for anew', async () => {
    await aVault();
    const { get, questions } = opened([PASSPHRASE, 'another horse']);
    await get(name);
    await rm(file);
    await opened(['another horse', 'another horse']).vault.set(name, new Secret('new'));
    expect(await get(name)).toBe('new');
    expect(questions).toHaveLength(2);
  });
});

describe('a key file', () => {
  async function keyFile(text: string, mode = 0o600): Promise<string> {
    const path = join(folder, 'key');
    await writeFile(path, text);
    await chmod(path, mode);
    return path;
  }

  test('opens the vault that was made with it, and nobody is asked', async () => {
    const path = await keyFile('0123456789abcdef\n');
    await opened([], { keyFile: path }).vault.set(name, new Secret('hunter2'));
    expect(await opened([], { keyFile: path }).get(name)).toBe('hunter2');
    await expect(opened([PASSPHRASE]).get(name)).rejects.toMatchObject(failed('a key file opens it'));
    await keyFile('something else');
    await expect(opened([], { keyFile: path }).get(name)).rejects.toMatchObject(failed(`${path} is not its key`));
  });

  test('may hold the passphrase; where it does not, the person is asked', async () => {
    await aVault();
    const path = await keyFile(PASSPHRASE);
    expect(await opened([], { keyFile: path }).get(name)).toBe('hünter 2');
    await keyFile('old passphrase');
    expect(await opened([PASSPHRASE], { keyFile: path }).get(name)).toBe('hünter 2');
  });

  test('that others may read is refused', async () => {
    await aVault();
    const path = await keyFile(PASSPHRASE, 0o644);
    await expect(opened([], { keyFile: path }).get(name)).rejects.toMatchObject(failed('others may read it'));
  });
});

describe('damage is told apart from a wrong passphrase', () => {
  const swap = (text = ''): string => (text.startsWith('A') ? `B${text.slice(1)}` : `A${text.slice(1)}`);
  const flip = (part: Record<string, string> | undefined, field: string): void => {
    if (part !== undefined) part[field] = swap(part[field]);
  };

  test.each<[string, (vault: Json) => void, string]>([
    ['in the salt', (vault) => (vault['salt'] = swap(String(vault['salt']))), 'it is damaged'],
    ['in the check value', (vault) => (vault['check'] = swap(String(vault['check']))), 'it is damaged'],
    ['in the data key', (vault) => flip(vault.dataKey, 'text'), 'it is damaged'],
    ['in a value', (vault) => flip(vault.entries[`password ${name.subject}`], 'text'), 'is damaged'],
    ['in a tag', (vault) => flip(vault.entries[`password ${name.subject}`], 'tag'), 'is damaged'],
    [
      'of a value under the name of another',
      ({ entries }) => (entries[`password ${name.subject}`] = entries[`passphrase ${other.subject}`] ?? {}),
      'is damaged',
    ],
    ['of the version', (vault) => (vault['version'] = 2), 'newer version'],
    ['of the kind', (vault) => (vault['title'] = 'x'), 'damaged, or no vault'],
  ])('%s', async (_where, change, why) => {
    await aVault();
    await edited(change);
    await expect(opened([PASSPHRASE]).get(name)).rejects.toMatchObject(failed(why));
  });

  test('by a cut file', async () => {
    await aVault();
    await writeFile(file, (await readFile(file, 'utf8')).slice(0, -20));
    await expect(opened([PASSPHRASE]).get(name)).rejects.toMatchObject(failed('it is damaged'));
  });

  test('and a vault that others may read is refused', async () => {
    await aVault();
    await chmod(file, 0o640);
    await expect(opened([PASSPHRASE]).get(name)).rejects.toMatchObject({ hint: `Run: chmod 600 ${file}` });
  });
});

describe('writers', () => {
  test('at the same time lose nothing of each other', async () => {
    await aVault();
    const subjects = Array.from({ length: 8 }, (_, index) => `user${index}@host:22`);
    const { vault, get } = opened([PASSPHRASE]);
    await Promise.all(subjects.map((subject) => vault.set({ kind: 'password', subject }, new Secret(subject))));
    expect(await Promise.all(subjects.map((subject) => get({ kind: 'password', subject })))).toEqual(subjects);
  });

  test('clear away the lock of a process that died', async () => {
    await aVault();
    await writeFile(`${file}.lock`, '999999999'); // beyond the largest pid of Linux
    await opened([PASSPHRASE]).vault.set(name, new Secret('new'));
    expect(await readdir(dirname(file))).toEqual(['vault.json']);
  });

  test('that cannot write leave the vault as it was', async () => {
    await aVault();
    await rm(dirname(file), { recursive: true });
    await mkdir(folder, { recursive: true });
    await writeFile(dirname(file), 'a file stands in the way');
    await expect(opened([PASSPHRASE, PASSPHRASE]).vault.set(name, new Secret('x'))).rejects.toBeInstanceOf(TunnelError);
  });
});
