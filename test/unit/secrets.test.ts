import { describe, expect, test } from 'vitest';
import { Secret } from '../../src/model/secret.ts';
import { keychainHint, plainReason } from '../../src/secrets/keychain-reasons.ts';
import { Keychain, type Keytar } from '../../src/secrets/keychain.ts';
import type { SecretName } from '../../src/secrets/store.ts';

const name: SecretName = { kind: 'password', subject: 'alice@pop.example.org:22' };
const secret = new Secret('hunter2');

/** A keychain in memory, with what a test wants to go wrong. */
function inMemory(differences: Partial<Keytar> = {}): Keytar & { readonly entries: Map<string, string> } {
  const entries = new Map<string, string>();
  return {
    entries,
    getPassword: (_service, account) => Promise.resolve(entries.get(account) ?? null),
    setPassword: (_service, account, password) => Promise.resolve(void entries.set(account, password)),
    deletePassword: (_service, account) => Promise.resolve(entries.delete(account)),
    findCredentials: () => Promise.resolve([...entries].map(([account, password]) => ({ account, password }))),
    ...differences,
  };
}

function keychain(keytar: Keytar, deadlineMs = 5_000): Keychain {
  return new Keychain({ deadlineMs, load: () => Promise.resolve(keytar) });
}

const never = (): Promise<never> => new Promise(() => undefined);

describe('a keychain', () => {
  test('gives back what was stored, lists it without the secret, and forgets it', async () => {
    const store = keychain(inMemory());
    await store.set(name, secret);
    expect((await store.get(name))?.reveal()).toBe('hunter2');
    expect(await store.list()).toEqual([name]);
    expect([await store.delete(name), await store.delete(name)]).toEqual([true, false]);
    expect(await store.get(name)).toBeUndefined();
  });

  test('keeps a secret under its kind and subject, spaces included', async () => {
    const keytar = inMemory();
    const spaced: SecretName = { kind: 'passphrase', subject: '/home/a b/id key' };
    await keychain(keytar).set(spaced, secret);
    expect([...keytar.entries]).toEqual([['passphrase /home/a b/id key', 'hunter2']]);
    expect(await keychain(keytar).list()).toEqual([spaced]);
  });

  test('does not list what others put under our name', async () => {
    const keytar = inMemory();
    keytar.entries.set('something else', 'x').set('password', 'y');
    expect(await keychain(keytar).list()).toEqual([]);
  });

  test('does not believe that it stored what it does not give back', async () => {
    const store = keychain(inMemory({ getPassword: () => Promise.resolve('hunter') }));
    await expect(store.set(name, secret)).rejects.toMatchObject({ code: 'SECRET_STORE' });
  });

  test.each([
    ['has a NUL', new Secret('hunter\0two')],
    ['is too long', new Secret('ü'.repeat(1281))],
  ])('refuses a secret that %s, and says nothing of it', async (_what, unfit) => {
    const keytar = inMemory();
    const error: unknown = await keychain(keytar)
      .set(name, unfit)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SECRET_STORE' });
    expect(String(error)).not.toContain(unfit.reveal().slice(0, 6));
    expect(keytar.entries.size).toBe(0);
  });

  test('takes a secret of the largest size', async () => {
    const longest = new Secret('ü'.repeat(1280));
    const store = keychain(inMemory());
    await store.set(name, longest);
    expect((await store.get(name))?.reveal()).toBe(longest.reveal());
  });

  test('that is frozen is given up in time, and not asked again while it hangs', async () => {
    let calls = 0;
    const frozen = keychain(inMemory({ getPassword: () => ((calls += 1), never()) }), 20);
    const [first, waiting] = [frozen.get(name), frozen.get(name)];
    await expect(first).rejects.toMatchObject({
      code: 'SECRET_STORE',
      message: expect.stringContaining('0.02 s') as string,
    });
    await expect(waiting).rejects.toMatchObject({ code: 'SECRET_STORE' });
    await expect(frozen.get(name)).rejects.toThrow('earlier request');
    expect(calls).toBe(1);
  });

  test('that thaws is asked again, but not what was given up', async () => {
    let thaw = (): void => undefined;
    const asked: string[] = [];
    const slow: Keytar['getPassword'] = (_service, account) => {
      asked.push(account);
      return asked.length > 1 ? Promise.resolve('hunter2') : new Promise((resolve) => (thaw = () => resolve('late')));
    };
    const store = keychain(inMemory({ getPassword: slow }), 20);
    const [first, second] = [store.get(name), store.get({ kind: 'totp', subject: 'x' })];
    await expect(first).rejects.toMatchObject({ code: 'SECRET_STORE' });
    await expect(second).rejects.toMatchObject({ code: 'SECRET_STORE' });
    thaw();
    await new Promise((resolve) => setImmediate(resolve));
    expect((await store.get(name))?.reveal()).toBe('hunter2');
    expect(asked).toEqual(['password alice@pop.example.org:22', 'password alice@pop.example.org:22']);
  });

  test('whose library cannot be loaded says so with a remedy', async () => {
    const missing = new Error('Failed to load keytar native addon, checked ["../build/Release"]');
    const store = new Keychain({ deadlineMs: 5_000, load: () => Promise.reject(missing) });
    await expect(store.get(name)).rejects.toMatchObject({
      code: 'SECRET_STORE',
      message: 'Cannot read the password of alice@pop.example.org:22 in the OS keychain: its library cannot be loaded',
      hint: keychainHint(process.platform),
    });
  });
});

test.each([
  ['Cannot autolaunch D-Bus without X11 $DISPLAY', 'there is no desktop session (no D-Bus)'],
  ['Object does not exist at path “/org/freedesktop/secrets/collection/login”', 'it is locked, or there is none yet'],
  [
    'The name org.freedesktop.secrets was not provided by any .service files',
    'no keychain service runs in this session',
  ],
  ['User interaction is not allowed.', 'it is locked, and nobody can be asked to unlock it'],
  ['something \u001b[31mnew', 'something \\u001b[31mnew'],
])('the library says %j, the person reads plain words', (said, words) => {
  expect(plainReason(new Error(said))).toBe(words);
});

test('the hint of a Linux names the package that is missing', () => {
  expect(keychainHint('linux')).toContain('libsecret-1-0');
});
