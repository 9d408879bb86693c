import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UsedCodesFile } from '../../src/files/used-codes.ts';
import { Secret } from '../../src/model/secret.ts';
import { parseTotp, totpCode, totpStep } from '../../src/secrets/totp.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aHop, aRequest } from '../support/ssh-dial.ts';
import { startScriptedServer, type ScriptedServer } from '../support/ssh-server.ts';

const SEED = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const totp = parseTotp(SEED);
if (totp === undefined) throw new Error('The seed is none');

/** Codes of this window and of a few before it: while one login's code is under way, another one may let the clock go on. */
function wanted(wallMs: number): readonly string[] {
  return totp === undefined ? [] : [0, 1, 2, 3].map((back) => totpCode(totp, totpStep(totp, wallMs) - back));
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnel-codes-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A server that asks this, and whose clock is `skewMs` ahead; `codes` are those that it was given. */
async function stage(prompt: string, skewMs = 0) {
  const clock = new FakeClock();
  const codes: string[] = [];
  const server: ScriptedServer = await startScriptedServer({
    authenticate: (attempt) => {
      if (attempt.method !== 'keyboard-interactive') return attempt.reject(['keyboard-interactive']);
      attempt.prompt([{ prompt, echo: false }], (answers) => {
        const [code = ''] = answers;
        codes.push(code);
        if (wanted(clock.wallMs() + skewMs).includes(code) || code === 'typed') attempt.accept();
        else attempt.reject(['keyboard-interactive']);
      });
    },
  });
  const usedCodes = join(folder, `used-${server.port}`);
  const known = join(folder, `known-${server.port}`);
  await writeFile(known, server.knownHosts);
  /** As another process has it. */
  const anotherDial = () =>
    createDial({
      readSecret: ({ kind }) => Promise.resolve(kind === 'totp' ? new Secret(SEED) : undefined),
      usedCodes: new UsedCodesFile(usedCodes),
      clock: { wallMs: () => clock.wallMs(), sleep: (ms) => clock.advance(ms) },
    });
  const dial = anotherDial();
  const hop = aHop({ port: server.port, knownHosts: [known] });
  return { server, clock, codes, dial, anotherDial, hop, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test('a stored seed answers the prompt for a code, and no code is used twice: the next window is waited for', async () => {
  await using on = await stage('Verification code: ');
  const rehearsals = [aRequest([on.hop]), aRequest([on.hop])];
  for (const { request } of rehearsals) (await on.dial(request)).close();
  expect(new Set(on.codes).size).toBe(2);
  expect(rehearsals.map(({ questions }) => questions.length)).toEqual([0, 0]);
  expect(rehearsals.map(({ notes }) => notes.join())).toEqual([
    '',
    expect.stringContaining('next one-time code in 30 s'),
  ]);
});

test('nor is it used twice by another process, or by two logins at once', async () => {
  await using on = await stage('One-time password (OATH) for `tester`: ');
  await Promise.all([1, 2].map(async () => (await on.dial(aRequest([on.hop]).request)).close()));
  (await on.anotherDial()(aRequest([on.hop]).request)).close();
  expect([on.codes.length, new Set(on.codes).size]).toEqual([3, 3]);
});

test('nor by two processes that log in at the same moment', async () => {
  await using on = await stage('Verification code: ');
  const dials = [on.dial, on.anotherDial(), on.anotherDial()];
  await Promise.all(dials.map(async (dial) => (await dial(aRequest([on.hop]).request)).close()));
  expect([on.codes.length, new Set(on.codes).size]).toEqual([3, 3]);
});

test('a refused code is not repeated: the clock is named, and a person is asked', async () => {
  await using on = await stage('Token code: ', 300_000);
  const { request, notes, questions } = aRequest([on.hop], { code: ['typed'] });
  (await on.dial(request)).close();
  expect(on.codes).toHaveLength(2);
  expect(questions.map(({ kind }) => kind)).toEqual(['code']);
  expect(notes).toEqual([expect.stringContaining('compare the clock of this machine, which says 2026-01-01T00:00:00')]);
  expect(notes.join()).not.toContain(on.codes[0]);
});

test.each([
  'Favourite colour: ',
  'Password and verification code: ',
  'Enter a new code: ',
  'Phone number for the code: ',
])('%j is no prompt for a code: a person is asked', async (prompt) => {
  await using on = await stage(prompt);
  const { request, questions } = aRequest([on.hop], { code: ['typed'] });
  (await on.dial(request)).close();
  expect([questions.length, on.codes]).toEqual([1, ['typed']]);
});
