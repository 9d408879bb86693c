import { chmod, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TunnelError } from '../../src/model/failure.ts';
import type { SecretSource } from '../../src/model/plan.ts';
import { Secret } from '../../src/model/secret.ts';
import { secretFromCommand } from '../../src/secrets/command.ts';
import { secretFromFile } from '../../src/secrets/file.ts';
import { secretReader } from '../../src/secrets/read.ts';
import type { SecretName, SecretStore } from '../../src/secrets/store.ts';
import { eventually } from '../support/eventually.ts';

const name: SecretName = { kind: 'password', subject: 'alice@pop.example.org:22' };
const open = new AbortController().signal;
const nobody = (): Promise<Secret> => Promise.reject(new TunnelError('NEEDS_PERSON', 'Nobody is there'));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnel-secrets-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function secretFile(text: string, mode = 0o600): Promise<string> {
  const file = join(folder, 'secret');
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}

const failed = (why: string): object => ({ code: 'SECRET_STORE', message: expect.stringContaining(why) as string });

describe('a secret from a command', () => {
  test.each([
    ['the first line', 'hunter2\nuser: alice\n', 'hunter2'],
    ['a line without its end', 'hunter2', 'hunter2'],
    ['a line of Windows', 'hunter2\r\nmore', 'hunter2'],
    ['spaces as they are', ' hunter 2 \n', ' hunter 2 '],
  ])('is %s', async (_what, printed, value) => {
    const secret = await secretFromCommand(['printf', '%s', printed], open);
    expect(secret.reveal()).toBe(value);
  });

  test('is asked for without a shell', async () => {
    const secret = await secretFromCommand(['echo', '$HOME; `id`'], open);
    expect(secret.reveal()).toBe('$HOME; `id`');
  });

  test.each([
    [
      'fails, with what it said',
      ['sh', '-c', 'echo hunter2; echo "no \u001b[31mkey" >&2; exit 3'],
      'status 3: no \\u001b[31mkey',
    ],
    ['prints nothing', ['true'], 'printed nothing'],
    ['prints an empty line', ['echo'], 'printed nothing'],
    ['prints a NUL', ['printf', 'a\\000b'], 'NUL'],
    ['does not exist', ['no-such-program-here'], 'no such program'],
    ['prints without end', ['yes'], 'far more than a secret'],
    ['is killed', ['sh', '-c', 'kill -9 $$'], 'SIGKILL'],
  ])('that %s is a plain error without the output', async (_what, argv, why) => {
    const error: unknown = await secretFromCommand(argv, open).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject(failed(why));
    expect(String(error)).not.toContain('hunter2');
  });

  test('is given up when its time is over, with all that the command started', { timeout: 20_000 }, async () => {
    const pidFile = join(folder, 'pid');
    const argv = ['sh', '-c', `sleep 60 & echo $! > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; wait`];
    // Longer than a busy machine takes to start two programs, and to let us see one of them.
    const secret = expect(secretFromCommand(argv, open, 4_000)).rejects.toMatchObject(failed('longer than 4 s'));
    const pid = Number(await eventually(() => readFile(pidFile, 'utf8')));
    expect(await runs(pid)).toBe(true);
    await secret;
    await eventually(async () => !(await runs(pid)));
  });

  test('is given up with its login', async () => {
    const login = new AbortController();
    const secret = secretFromCommand(['sleep', '60'], login.signal);
    const reason = new TunnelError('STOPPED', 'The login ended');
    login.abort(reason);
    await expect(secret).rejects.toBe(reason);
  });
});

/** A zombie that nobody reaps does not run. */
async function runs(pid: number): Promise<boolean> {
  try {
    return !/\) [ZX] /.test(await readFile(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('a secret from a file', () => {
  test.each([
    ['is its text', 'hunter2', 'hunter2'],
    ['is without its line end', 'hunter2\n', 'hunter2'],
    ['loses one line end and no more', 'hunter2\r\n\n', 'hunter2\r\n'],
  ])('%s', async (_what, text, value) => {
    expect((await secretFromFile(await secretFile(text), {})).reveal()).toBe(value);
  });

  test.each([0o640, 0o604, 0o660])('is refused where others may read it (%o)', async (mode) => {
    const file = await secretFile('hunter2', mode);
    await expect(secretFromFile(file, {})).rejects.toMatchObject({
      code: 'SECRET_STORE',
      hint: `Run: chmod 600 ${file}`,
    });
  });

  test.each<[string, () => Promise<string>, string]>([
    ['is missing', () => Promise.resolve(join(folder, 'none')), 'does not exist'],
    ['is empty', () => secretFile('\n'), 'empty'],
    ['has a NUL', () => secretFile('a\0b'), 'NUL'],
    ['is a folder', () => Promise.resolve(folder), 'not a plain file'],
    ['is endless', () => Promise.resolve('/dev/zero'), 'not a plain file'],
    [
      'is far too large',
      async () => {
        const file = await secretFile('');
        await truncate(file, 10 ** 9);
        return file;
      },
      'larger than',
    ],
    [
      'is a socket',
      async () => {
        const path = join(folder, 'socket');
        const server = createServer();
        await new Promise<void>((resolve) => server.listen(path, resolve));
        server.unref();
        return path;
      },
      'secret',
    ],
  ])('that %s is a plain error', async (_what, arrange, why) => {
    await expect(secretFromFile(await arrange(), {})).rejects.toMatchObject(failed(why));
  });

  test('may be reached by a link: what counts is the file', async () => {
    await symlink(await secretFile('hunter2'), join(folder, 'link'));
    expect((await secretFromFile(join(folder, 'link'), {})).reveal()).toBe('hunter2');
  });

  test('without a path is a credential of the service, whatever its mode', async () => {
    const env = { CREDENTIALS_DIRECTORY: join(folder, 'credentials') };
    await mkdir(env.CREDENTIALS_DIRECTORY);
    await writeFile(join(env.CREDENTIALS_DIRECTORY, 'mail'), 'hunter2\n', { mode: 0o440 });
    expect((await secretFromFile('mail', env)).reveal()).toBe('hunter2');
  });

  test.each(['../secret', 'a/b', '..', '.', ''])('named %j is no credential', async (path) => {
    await expect(secretFromFile(path, { CREDENTIALS_DIRECTORY: folder })).rejects.toMatchObject(failed('credential'));
  });

  test('without a path and outside a service is a plain error', async () => {
    await expect(secretFromFile('mail', {})).rejects.toMatchObject(failed('service manager'));
  });
});

describe('the source that a profile names', () => {
  const store = (get: SecretStore['get']): SecretStore => ({
    title: 'test',
    get,
    set: () => Promise.resolve(),
    delete: () => Promise.resolve(false),
    list: () => Promise.resolve([]),
  });
  const absent = store(() => Promise.reject(new TunnelError('SECRET_STORE', 'Cannot read', { hint: 'Unlock it.' })));

  test.each<[SecretSource, string | undefined]>([
    [{ kind: 'keychain' }, 'from the keychain'],
    [{ kind: 'vault' }, 'from the vault'],
    [{ kind: 'command', argv: ['echo', 'from a command'] }, 'from a command'],
    [{ kind: 'prompt' }, undefined],
  ])('%j is the one that is read', async (source, value) => {
    const read = secretReader({
      keychain: store(() => Promise.resolve(new Secret('from the keychain'))),
      vault: () => store(() => Promise.resolve(new Secret('from the vault'))),
      env: {},
      onNote: () => undefined,
    });
    expect((await read(name, source, open, nobody))?.reveal()).toBe(value);
  });

  test('is a keychain that cannot serve: a person is asked, and the reason is said once', async () => {
    const notes: string[] = [];
    const read = secretReader({ keychain: absent, vault: () => absent, env: {}, onNote: (note) => notes.push(note) });
    const answers = [
      await read(name, { kind: 'keychain' }, open, nobody),
      await read(name, { kind: 'keychain' }, open, nobody),
    ];
    expect(answers).toEqual([undefined, undefined]);
    expect(notes).toEqual(['Cannot read. Unlock it.']);
  });

  test('is a vault that cannot serve: named on purpose, it is an error', async () => {
    const read = secretReader({ keychain: absent, vault: () => absent, env: {}, onNote: () => undefined });
    await expect(read(name, { kind: 'vault' }, open, nobody)).rejects.toMatchObject(failed('Cannot read'));
  });

  test('is not waited for once the login has ended', async () => {
    const login = new AbortController();
    const frozen = store(() => new Promise(() => undefined));
    const secret = secretReader({ keychain: frozen, vault: () => frozen, env: {}, onNote: () => undefined })(
      name,
      { kind: 'keychain' },
      login.signal,
      nobody,
    );
    const reason = new TunnelError('STOPPED', 'The login ended');
    login.abort(reason);
    await expect(secret).rejects.toBe(reason);
  });
});
