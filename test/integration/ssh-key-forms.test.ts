import { execFile } from 'node:child_process';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { aDial, aRequest, failureOf, sshdHop } from '../support/ssh-dial.ts';
import { fingerprintOf, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { TestAgent } from '../support/ssh-agent.ts';

const run = promisify(execFile);
const PASSPHRASE = 'correct horse';

let sshd: TestSshd;
let files = 0;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

/** A key that the server lets in, made by ssh-keygen itself. */
async function aKey(...args: readonly string[]): Promise<string> {
  const file = join(sshd.dir, `key${files++}`);
  await run('ssh-keygen', ['-q', '-C', 'test', '-f', file, ...args]);
  await appendFile(sshd.authorizedKeysFile, await readFile(`${file}.pub`));
  return file;
}

const TYPES = [
  ['-t', 'rsa', '-b', '2048'],
  ['-t', 'ecdsa', '-b', '256'],
  ['-t', 'ecdsa', '-b', '521'],
  ['-t', 'ed25519'],
];
const FORMS = [[], ['-m', 'PEM'], ['-m', 'PKCS8']];
const CIPHERS = [
  'aes128-ctr',
  'aes256-ctr',
  'aes256-cbc',
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  '3des-cbc',
];

describe('a key logs in as ssh-keygen wrote it', { timeout: 30_000 }, () => {
  const forms = TYPES.flatMap((type) =>
    FORMS.flatMap((form) => ['', PASSPHRASE].map((words) => [type, form, words] as const)),
  );
  test.each(forms)('%j %j, passphrase %j', async (type, form, words) => {
    const file = await aKey(...type, ...form, '-N', words);
    const hop = sshdHop(sshd, { identities: [{ file, explicit: true }] });
    const { request, questions } = aRequest([hop], { passphrase: [PASSPHRASE] });
    (await aDial()(request)).close();
    expect(questions).toHaveLength(words === '' ? 0 : 1);
  });

  test.each(CIPHERS)('encrypted with %s', async (cipher) => {
    const file = await aKey('-t', 'ed25519', '-Z', cipher, '-N', PASSPHRASE);
    const hop = sshdHop(sshd, { identities: [{ file, explicit: true }] });
    (await aDial()(aRequest([hop], { passphrase: [PASSPHRASE] }).request)).close();
  });
});

test('a key encrypted with chacha20 is told with the command that mends it', async () => {
  const file = await aKey('-t', 'ed25519', '-Z', 'chacha20-poly1305@openssh.com', '-N', PASSPHRASE);
  const { request, notes } = aRequest([sshdHop(sshd, { identities: [{ file, explicit: true }] })]);
  expect(await failureOf(aDial()(request))).toMatchObject({ code: 'LOGIN_REFUSED' });
  expect(notes.join()).toContain(`ssh-keygen -p -Z aes256-ctr -f ${file}`);
});

test('a key of PuTTY is told with the command that converts it', async () => {
  const file = join(sshd.dir, 'key.ppk');
  await writeFile(file, 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n', { mode: 0o600 });
  const { request, notes } = aRequest([sshdHop(sshd, { identities: [{ file, explicit: true }] })]);
  await failureOf(aDial()(request));
  expect(notes.join()).toContain(`puttygen ${file} -O private-openssh -o ${file}.openssh`);
});

describe('an agent', () => {
  test('that dies and comes back between two connects is seen as it is each time', { timeout: 20_000 }, async () => {
    const file = await aKey('-t', 'ed25519', '-N', '');
    await using agent = await TestAgent.start(join(sshd.dir, 'agent.sock'));
    await agent.add(file);
    const hop = sshdHop(sshd, { identities: [], agent: agent.socket });
    const dial = aDial();
    (await dial(aRequest([hop]).request)).close();

    await agent.stop();
    const without = aRequest([hop]);
    expect(await failureOf(dial(without.request))).toMatchObject({ code: 'LOGIN_REFUSED' });
    expect(without.notes).toEqual([expect.stringContaining('the agent cannot be reached')]);

    await agent.start();
    await agent.add(file);
    (await dial(aRequest([hop]).request)).close();
  });

  test('under IdentitiesOnly is asked for the configured key alone', async () => {
    const [wanted, other] = [await aKey('-t', 'ed25519', '-N', ''), join(sshd.dir, 'stranger')];
    await makeKey(other, 'ed25519');
    await using agent = await TestAgent.start(join(sshd.dir, 'many.sock'));
    for (const file of [other, wanted]) await agent.add(file);
    const identities = [{ file: `${wanted}.pub`, explicit: true }];
    (
      await aDial()(aRequest([sshdHop(sshd, { identities, identitiesOnly: true, agent: agent.socket })]).request)
    ).close();
    const used = await fingerprintOf(wanted);
    await eventually(() => sshd.accepted(used), { what: 'the login in the log' });
    expect(sshd.log).not.toContain(await fingerprintOf(other));
  });
});
