import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { checkProfileText, planOfProfile } from '../../src/compose-plan.ts';
import { formatProfile } from '../../src/profile/edit.ts';
import { parseProfile } from '../../src/profile/parse.ts';
import { committedDoc, generatedDocs } from '../support/write-docs.ts';

const folder = fileURLToPath(new URL('../../profiles/', import.meta.url));
const names = (await readdir(folder)).sort();

test('pop-mail is among the examples, and every example is a profile', () => {
  expect(names).toContain('pop-mail.yaml');
  expect(names.filter((name) => !/^[a-z0-9][a-z0-9._-]*\.yaml$/.test(name))).toEqual([]);
});

describe.each(names)('the example %s', (name) => {
  const read = async () => {
    const text = await readFile(join(folder, name), 'utf8');
    const parsed = parseProfile(text, name);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    return { text, profile: { ...parsed.profile, sshConfig: 'none' } };
  };

  test('resolves to a plan with its servers and its forwards', async () => {
    const { profile } = await read();

    const plan = await planOfProfile(profile, name.replace('.yaml', ''));

    expect(plan.hops.length).toBe(profile.via?.length ?? 0);
    expect(plan.forwards.length).toBe(profile.forwards.length);
    expect(plan.warnings).toEqual([]);
  });

  test('says the same after it was formatted anew', async () => {
    const { profile } = await read();

    const again = parseProfile(formatProfile(profile), name);

    expect(again).toMatchObject({ ok: true, profile });
  });

  test('begins with the line that tells editors about the schema', async () => {
    const { text } = await read();

    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../docs/profile.schema.json');
  });
});

test.each([...generatedDocs().keys()])('%s is what `npm run docs` writes', async (path) => {
  expect(await committedDoc(path)).toBe(generatedDocs().get(path));
});

test('a text is checked against ssh_config before it is a file', async () => {
  const text = 'via: alice@pop\nsshConfig: ./missing\nforwards:\n  - localhost:1 -> a:1\n';

  const problems = await checkProfileText(text, '/nowhere/pop.yaml');

  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({ file: '/nowhere/pop.yaml', line: 1, column: 6 });
});
