// debian: gnome-keyring dbus-daemon dbus-bin libsecret-1-0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DesktopSession } from '../support/desktop-session.ts';

const script = fileURLToPath(new URL('../support/keychain-process.ts', import.meta.url));
const tsx = import.meta.resolve('tsx');

let session: DesktopSession;
beforeEach(async () => {
  session = await DesktopSession.start();
});
afterEach(() => session[Symbol.asyncDispose]());

const keychain = (...args: readonly string[]): Promise<unknown> => keychainWith(session.env, ...args);

async function keychainWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, ['--import', tsx, script, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await once(child, 'close');
  return JSON.parse(printed) as unknown;
}

const refused = (why: string): object => ({
  error: { code: 'SECRET_STORE', message: expect.stringContaining(why) as string },
});

describe('gnome-keyring', () => {
  test('keeps a secret, lists it, and forgets it', async () => {
    await session.startKeyring('pw');
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
    expect(await keychain('5000', 'set', 'a@b:22', 'hünter 2')).toEqual({ result: 'stored' });
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: 'hünter 2' });
    expect(await keychain('5000', 'list')).toEqual({ result: [{ kind: 'password', subject: 'a@b:22' }] });
    expect(await keychain('5000', 'delete', 'a@b:22')).toEqual({ result: true });
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
  });

  test('that is locked is an ordinary answer, in time', async () => {
    await session.startKeyring('pw');
    await keychain('5000', 'set', 'a@b:22', 'hunter2');
    await session.endKeyring();
    await session.startKeyring();
    // libsecret tells a locked keychain from one without the secret only where it can show a dialog: a person is asked.
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
    expect(await keychain('5000', 'set', 'c@d:22', 'x')).toMatchObject({ error: { code: 'SECRET_STORE' } });
  });

  test('that is frozen is given up in time, and the command ends at once', async () => {
    await session.startKeyring('pw');
    session.freezeKeyring();
    const startedMs = performance.now();
    expect(await keychain('1000', 'get', 'a@b:22')).toMatchObject(refused('did not answer within 1 s'));
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    session.thawKeyring();
    expect(await keychain('5000', 'get', 'a@b:22')).toEqual({ result: null });
  });
});

test('a session without a keychain service is an ordinary answer', async () => {
  const env = { ...session.env, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' };
  expect(await keychainWith(env, '5000', 'get', 'a@b:22')).toMatchObject(refused('no desktop session'));
});
