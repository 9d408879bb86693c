import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import { NO_KNOWN_HOSTS, parseKnownHosts, type KnownHosts } from '../../src/known-hosts/parse.ts';
import type { HopPlan } from '../../src/model/plan.ts';
import { Secret } from '../../src/model/secret.ts';
import { createDial } from '../../src/ssh/dial.ts';
import type { HostKeyStore } from '../../src/ssh/host-key.ts';
import { eventually } from '../support/eventually.ts';
import { aDial, aHop, aRequest, failureOf, sshdHop } from '../support/ssh-dial.ts';
import { startScriptedServer, type ScriptedServer } from '../support/ssh-server.ts';
import { startSshd } from '../support/sshd.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

let home: TempHome;
let server: ScriptedServer;
beforeAll(async () => {
  home = await tempHome();
  server = await startScriptedServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await home.remove();
});

const hop = (over: Partial<HopPlan> = {}) => aHop({ port: server.port, knownHosts: ['/known'], ...over });
const dialWith = (store: Partial<HostKeyStore>) =>
  createDial({
    readSecret: () => Promise.resolve(undefined),
    hostKeys: { read: () => Promise.resolve(NO_KNOWN_HOSTS), append: () => Promise.resolve(), ...store },
  });

test.each(['', 'y', 'YES please', 'true', '1', 'null', 'no', 'SHA256:', 'undefined'])(
  'the answer %j is no yes: the key is refused, and no login is tried',
  async (answer) => {
    const attempts = server.attempts.length;
    const { request } = aRequest([hop()], { 'host-key': [answer] });
    expect(await failureOf(dialWith({})(request))).toMatchObject({ code: 'HOST_KEY_UNKNOWN' });
    expect(server.attempts.length).toBe(attempts);
  },
);

// It was refused as "unknown", as if nothing had been typed.
test('a fingerprint that was typed and differs is told beside the one that is shown', async () => {
  const { request } = aRequest([hop()], { 'host-key': ['SHA256:abc'] });
  const { message, hint } = await failureOf(dialWith({})(request));
  expect(message).toMatch(/its host key is SHA256:\S{43}, and not SHA256:abc as was typed$/);
  expect(hint).toContain('somebody may be in between');
});

test.each(['yes', ' Yes\n', 'fingerprint'])('the answer %j is a yes', async (answer) => {
  const { request } = aRequest(
    [hop()],
    {},
    {
      ask: ({ detail }) => {
        const typed = answer === 'fingerprint' ? (/SHA256:\S+(?=\.\n|\.$)/m.exec(detail)?.[0] ?? '') : answer;
        return Promise.resolve(new Secret(typed));
      },
    },
  );
  (await dialWith({})(request)).close();
});

test('whatever breaks while the key is judged refuses it', async () => {
  const poisoned: KnownHosts = {
    problems: [],
    get entries(): never {
      throw new Error('out of memory');
    },
  };
  const broken = { ...NO_KNOWN_HOSTS, entries: [Object.create(null)] } as unknown as KnownHosts;
  const stores: Partial<HostKeyStore>[] = [
    { read: () => Promise.reject(new Error('disk on fire')) },
    { read: () => Promise.resolve(poisoned) },
    { read: () => Promise.resolve(broken) },
  ];
  for (const store of stores) {
    const attempts = server.attempts.length;
    const { request } = aRequest([hop()], { 'host-key': ['yes'] });
    expect(await failureOf(dialWith(store)(request))).toMatchObject({ code: 'INTERNAL' });
    expect(server.attempts.length).toBe(attempts);
  }
});

test('a question that fails in an unforeseen way refuses', async () => {
  const { request } = aRequest([hop()], {}, { ask: () => Promise.reject(new TypeError('a fault of ours')) });
  expect(await failureOf(dialWith({})(request))).toMatchObject({ code: 'INTERNAL' });
});

test('a key that could not be recorded is trusted for this time, and that is said', async () => {
  const { request, notes } = aRequest([hop({ hostKey: { kind: 'accept-new' } })]);
  const transport = await dialWith({ append: () => Promise.reject(new Error('Cannot record: read-only')) })(request);
  onTestFinished(() => transport.close());
  await eventually(() => notes.length > 0);
  expect(notes).toEqual(['Cannot record: read-only; it is trusted for this time only']);
});

test('skipped lines and keys of other types are told in the question', async () => {
  const known = parseKnownHosts(`[127.0.0.1]:${server.port} ssh-rsa AAAAB3NzaC1yc2EAAAAA\nrubbish\n`, '/known');
  const { request, questions } = aRequest([hop()], { 'host-key': ['no'] });
  await failureOf(dialWith({ read: () => Promise.resolve(known) })(request));
  expect(questions[0]?.detail.split('\n').slice(2)).toEqual([
    expect.stringMatching(/^Another key of this host is known: RSA SHA256:\S+ in \/known:1\.$/),
    '/known:2 was skipped: no key on the line.',
  ]);
});

test('further keys that a known server proves are learnt, where the profile says so, and old ones stay', async () => {
  const sshd = await startSshd({ hostKeyTypes: ['ed25519', 'ecdsa'] });
  onTestFinished(() => sshd.stop());
  const own = (await readFile(join(sshd.dir, 'host_ed25519.pub'), 'utf8')).split(' ').slice(0, 2).join(' ');
  const line = `[127.0.0.1]:${sshd.port} ${own}\n`;
  const learnt = async (updateHostKeys: HopPlan['updateHostKeys'], answers: Parameters<typeof aRequest>[1] = {}) => {
    const file = join(home.dir, `update-${updateHostKeys}-${Object.keys(answers).length}`);
    await writeFile(file, line);
    const { request, notes, questions } = aRequest([sshdHop(sshd, { knownHosts: [file], updateHostKeys })], answers);
    const transport = await aDial()(request);
    await transport.ping(); // its answer comes after the server's proof was asked for
    await transport.ping();
    if (updateHostKeys !== 'no') await eventually(() => notes.length > 0); // the proof is checked in its own time
    transport.close();
    return { text: await readFile(file, 'utf8'), questions: questions.length };
  };

  expect(await learnt('no')).toEqual({ text: line, questions: 0 });
  expect(await learnt('yes')).toEqual({
    text: expect.stringMatching(
      new RegExp(`^${line.replace(/[[\]+]/g, '\\$&')}.* ecdsa-sha2-nistp256 `, 's'),
    ) as unknown,
    questions: 0,
  });
  expect(await learnt('ask', { confirm: ['yes'] })).toMatchObject({ questions: 1 });
  expect(await learnt('ask')).toEqual({ text: line, questions: 1 });
});

test('the files themselves are what a dial uses unless told otherwise', async () => {
  const file = join(home.dir, 'known_hosts');
  await appendKnownHost(
    file,
    `[127.0.0.1]:${server.port}`,
    Buffer.from(server.knownHosts.split(' ')[2] ?? '', 'base64'),
    true,
  );
  expect((await readKnownHosts([file])).entries.length).toBe(1);
  (await aDial()(aRequest([hop({ knownHosts: [file] })]).request)).close();
});
