import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { byPassword, loginStage, type LoginStage } from '../support/login-stage.ts';
import { Terminal } from '../support/pty.ts';
import { TUNNEL } from '../support/tunnel-cli.ts';

const PASSWORD = 'geheim 17';

async function privateFile(on: LoginStage, name: string, text: string): Promise<string> {
  const file = join(on.cli.home.dir, name);
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

function terminal(on: LoginStage, ...args: readonly string[]): Terminal {
  return new Terminal(process.execPath, [TUNNEL, ...args], { env: on.cli.home.env, cwd: on.cli.home.dir });
}

describe('the password of a login comes, and nobody is asked,', () => {
  test('from a file', { timeout: 20_000 }, async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    const file = await privateFile(on, 'password', `${PASSWORD}\n`);
    await on.profile('mail', `secrets: { password: { file: ${file} } }\n`);
    await on.cli.ok('up', 'mail');
    expect((await on.cli.status('mail')).state).toBe('up');
  });

  test('from a credential of the service manager', { timeout: 20_000 }, async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    const folder = join(on.cli.home.dir, 'credentials');
    await mkdir(folder);
    await writeFile(join(folder, 'mail-password'), `${PASSWORD}\n`, { mode: 0o440 });
    await on.profile('mail', 'secrets: { password: { file: $CREDENTIALS_DIRECTORY/mail-password } }\n');
    const ran = await on.cli.runWith({ env: { CREDENTIALS_DIRECTORY: folder } }, 'up', 'mail');
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('from a command', { timeout: 20_000 }, async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    const file = await privateFile(on, 'password', `${PASSWORD}\nsecond line\n`);
    await on.profile('mail', `secrets: { password: { command: [cat, ${file}] } }\n`);
    await on.cli.ok('up', 'mail');
  });

  test('from a vault that a key file opens', { timeout: 20_000 }, async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    const env = { TUNNEL_VAULT_KEY_FILE: await privateFile(on, 'vault.key', 'J3jbQ0vVt8Xk\n') };
    await on.profile('mail', 'secrets: { password: vault }\n');
    const stored = await on.cli.runWith(
      { env, stdin: PASSWORD },
      'secret',
      'set',
      'mail',
      '--vault',
      '--stdin',
      '--json',
    );
    expect(JSON.parse(stored.stdout)).toMatchObject({ stored: { kind: 'password', subject: on.subject } });
    expect((await on.cli.runWith({ env }, 'up', 'mail')).code).toBe(0);
    expect((await on.cli.ok('secret', 'list', '--vault')).stdout).toBe(`password    ${on.subject}\n`);
    expect((await on.cli.ok('secret', 'rm', 'mail', '--vault')).stderr).toContain('Removed the password');
  });
});

test.each([
  ['a file that others may read', 0o644, (file: string) => `{ file: ${file} }`, 'others may read it'],
  [
    'a command that fails',
    0o600,
    (file: string) => `{ command: [sh, -c, "echo broken >&2; exit 3", ${file}] }`,
    'status 3: broken',
  ],
])('%s is said in the log, and a person is needed', { timeout: 20_000 }, async (_what, mode, source, says) => {
  await using on = await loginStage(byPassword(PASSWORD));
  const file = await privateFile(on, 'password', PASSWORD);
  await chmod(file, mode);
  await on.profile('mail', `secrets: { password: ${source(file)} }\n`);
  expect((await on.cli.run('up', 'mail')).code).toBe(4);
  const log = await on.cli.logged('mail', says);
  expect(log).not.toContain(PASSWORD);
});

describe('a vault with a passphrase', () => {
  test('is made at a terminal, and asked for by the tunnel that needs it', async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    await on.profile('mail', 'secrets: { password: vault }\n');
    await using set = terminal(on, 'secret', 'set', 'mail', '--vault');
    await set.expect('New passphrase of the vault');
    set.enter('correct horse');
    await set.expect('The same passphrase again');
    set.enter('correct horse');
    await set.expect(`Password of ${on.subject}:`);
    set.enter(PASSWORD);
    await set.expect('Stored the password');
    expect(await set.exit()).toBe(0);

    const alone = await on.cli.run('up', 'mail');
    expect({ code: alone.code, says: alone.stderr.includes('Cannot unlock vault') }).toEqual({ code: 4, says: true });
    expect((await on.cli.status('mail')).state).toBe('waiting');

    await using answer = terminal(on, 'answer');
    await answer.expect('Passphrase of the vault');
    answer.enter('incorrect horse');
    await answer.expect('That passphrase was wrong.');
    await answer.expect('Passphrase of the vault');
    answer.enter('correct horse');
    await answer.expect(/mail +.* +up/);
    expect(await answer.exit()).toBe(0);
    expect(on.server.attempts).toEqual(['password']);

    await on.profile('other', 'secrets: { password: vault }\n');
    await on.cli.ok('up', 'other'); // the key is held: nobody is asked again
    for (const text of [set.text, answer.text]) expect(text).not.toMatch(/geheim|horse/);
  });

  test('without a terminal is 4 with the way out, and stores nothing', { timeout: 20_000 }, async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    const ran = await on.cli.runWith({ stdin: PASSWORD }, 'secret', 'set', on.subject, '--vault', '--stdin');
    expect(ran.code).toBe(4);
    expect(ran.stderr).toContain('TUNNEL_VAULT_KEY_FILE');
    expect((await on.cli.ok('secret', 'list', '--vault')).stdout).toBe('');
  });

  test('that is damaged is told so, and not asked for its passphrase', { timeout: 20_000 }, async () => {
    await using on = await loginStage(byPassword(PASSWORD));
    const env = { TUNNEL_VAULT_KEY_FILE: await privateFile(on, 'vault.key', 'J3jbQ0vVt8Xk\n') };
    await on.cli.runWith({ env, stdin: PASSWORD }, 'secret', 'set', on.subject, '--vault', '--stdin');
    const file = join(on.cli.home.dir, 'tunnel', 'secrets', 'vault.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace(/"salt": "./, '"salt": "*'));
    const ran = await on.cli.runWith({ env }, 'secret', 'list', '--vault', '--json');
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      error: { code: 'SECRET_STORE', message: `Cannot read the vault ${file}: it is damaged` },
    });
  });
});

test('a key file without --vault is a wrong command line', async () => {
  await using on = await loginStage(byPassword(PASSWORD));
  expect((await on.cli.run('secret', 'list', '--key-file', 'x')).code).toBe(2);
});

test('without a keychain, the vault is among the advice', async () => {
  await using on = await loginStage(byPassword(PASSWORD));
  const ran = await on.cli.runWith({ stdin: PASSWORD }, 'secret', 'set', on.subject, '--stdin');
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain('tunnel secret set --vault');
});
