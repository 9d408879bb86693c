import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '../../src/model/secret.ts';
import { keychainHint } from '../../src/secrets/keychain-reasons.ts';
import { Keychain } from '../../src/secrets/keychain.ts';
import type { SecretName } from '../../src/secrets/store.ts';
import { eventually } from '../support/eventually.ts';

const name: SecretName = { kind: 'password', subject: 'alice@pop.example.org:22' };
const secret = new Secret('hunter2');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnel-keychain-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A keychain in a JSON file, with keytar's functions and what a test wants to go wrong. */
async function keychain(differences = '', deadlineMs = 20_000): Promise<Keychain> {
  const file = join(folder, 'library.mjs');
  const entries = JSON.stringify(join(folder, 'entries.json'));
  await writeFile(
    file,
    `import { existsSync, readFileSync, writeFileSync } from 'node:fs';
     const read = () => (existsSync(${entries}) ? JSON.parse(readFileSync(${entries}, 'utf8')) : {});
     const write = (all) => writeFileSync(${entries}, JSON.stringify(all));
     export default {
       getPassword: async (_service, account) => read()[account],
       setPassword: async (_service, account, password) => write({ ...read(), [account]: password }),
       deletePassword: async (_service, account) => {
         const { [account]: found, ...rest } = read();
         write(rest);
         return found !== undefined;
       },
       findCredentials: async () => Object.entries(read()).map(([account, password]) => ({ account, password })),
       ${differences}
     };`,
  );
  return new Keychain({ deadlineMs, library: pathToFileURL(file).href });
}

async function entries(): Promise<unknown> {
  return JSON.parse(await readFile(join(folder, 'entries.json'), 'utf8'));
}

describe('a keychain', () => {
  test('gives back what was stored, lists it without the secret, and forgets it', async () => {
    const store = await keychain();
    await store.set(name, secret);
    expect((await store.get(name))?.reveal()).toBe('hunter2');
    expect(await store.list()).toEqual([name]);
    expect([await store.delete(name), await store.delete(name)]).toEqual([true, false]);
    expect(await store.get(name)).toBeUndefined();
  });

  test('keeps a secret under its kind and subject, spaces and all', async () => {
    const store = await keychain();
    const spaced: SecretName = { kind: 'passphrase', subject: '/home/a b/id "k€y"' };
    await store.set(spaced, new Secret('p"ä\\ $x'));
    expect(await entries()).toEqual({ 'passphrase /home/a b/id "k€y"': 'p"ä\\ $x' });
    expect(await store.list()).toEqual([spaced]);
  });

  test('does not list what others put under our name', async () => {
    const store = await keychain();
    await writeFile(join(folder, 'entries.json'), '{"something else":"x","password":"y"}');
    expect(await store.list()).toEqual([]);
  });

  test('does not believe that it stored what it does not give back', async () => {
    const store = await keychain(`getPassword: async () => 'hunter',`);
    await expect(store.set(name, secret)).rejects.toMatchObject({ code: 'SECRET_STORE' });
  });

  test.each([
    ['has a NUL', new Secret('hunter\0two')],
    ['is too long', new Secret('ü'.repeat(1281))],
  ])('refuses a secret that %s, and says nothing of it', async (_what, unfit) => {
    const store = await keychain();
    const error: unknown = await store.set(name, unfit).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SECRET_STORE' });
    expect(String(error)).not.toContain(unfit.reveal().slice(0, 6));
    await expect(entries()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('takes a secret of the largest size', async () => {
    const longest = 'ü'.repeat(1280);
    const store = await keychain();
    await store.set(name, new Secret(longest));
    expect((await store.get(name))?.reveal()).toBe(longest);
  });

  test('that is frozen is given up in time, and nothing of it stays', { timeout: 20_000 }, async () => {
    const pidFile = JSON.stringify(join(folder, 'pid'));
    const frozen = await keychain(
      `getPassword: () => {
         writeFileSync(${pidFile}, String(process.pid));
         setInterval(() => undefined, 1000);
         return new Promise(() => undefined);
       },`,
      5_000, // longer than a busy machine takes to start it
    );
    const givenUp = expect(frozen.get(name)).rejects.toMatchObject({
      code: 'SECRET_STORE',
      message: expect.stringContaining('did not answer within 5 s') as string,
    });
    const pidText = async (): Promise<string> => readFile(join(folder, 'pid'), 'utf8'); // empty at first
    const pid = Number(await eventually(async () => (await pidText()) || undefined));
    await givenUp;
    await eventually(() => !isRunning(pid));
  });

  test.each([
    ['breaks', `getPassword: () => process.kill(process.pid, 'SIGSEGV'),`, 'its library broke (SIGSEGV)'],
    ['ends the process', `getPassword: () => process.exit(3),`, 'its library broke (status 3)'],
    ['fails', `getPassword: async () => { throw new Error('Object does not exist at path "x"'); },`, 'it is locked'],
  ])('whose library %s is a plain error', async (_what, differences, why) => {
    await expect((await keychain(differences)).get(name)).rejects.toMatchObject({
      code: 'SECRET_STORE',
      message: expect.stringContaining(why) as string,
      hint: keychainHint(process.platform),
    });
  });

  test('whose library is missing is a plain error', async () => {
    const store = new Keychain({ deadlineMs: 20_000, library: pathToFileURL(join(folder, 'none.mjs')).href });
    await expect(store.get(name)).rejects.toMatchObject({ code: 'SECRET_STORE' });
  });

  test('of this machine, outside every desktop session, is an ordinary answer', async () => {
    const script = fileURLToPath(new URL('../support/keychain-process.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), script, '5000', 'list'],
      { env: { PATH: process.env['PATH'], HOME: folder, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' } },
    );
    const answer: unknown = JSON.parse(stdout);
    // On Linux there is none, with libsecret or without; other systems have theirs in every session.
    if (process.platform === 'linux') expect(answer).toMatchObject({ error: { code: 'SECRET_STORE' } });
    else expect(answer).toEqual({ result: expect.any(Array) as unknown });
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
