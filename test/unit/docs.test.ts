import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { VERBS } from '../../src/cli/verbs.ts';
import { FAILURES } from '../../src/model/failure.ts';
import { readSettings } from '../../src/ssh-config/settings.ts';

test('docs/errors.md and the table of failures name the same codes, exits and retries', () => {
  const rows = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([A-Z_]+)` +\| (\d+) +\| (yes|no) +\|/gm)];

  const documented = Object.fromEntries(
    rows.map(([, code = '', exit, again]) => [code, `${exit} ${again}`]),
  ) as unknown;

  const real = Object.entries(FAILURES).map(([code, { exit, retryable }]) => [
    code,
    `${exit} ${retryable ? 'yes' : 'no'}`,
  ]);
  expect(documented).toEqual(Object.fromEntries(real));
});

describe('what docs/errors.md says is to be done', () => {
  const rows = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([A-Z_]+)` +\| ([^|]+?) +\|$/gm)].map(
    ([, code = '', remedy = '']) => [code, remedy] as const,
  );

  test('begins with the hint of the code, and leaves no hint out', () => {
    const remedies = new Map(rows);
    const hinted = Object.entries(FAILURES).filter(([, { hint }]) => hint !== '');

    expect(hinted.filter(([code, { hint }]) => remedies.get(code)?.startsWith(hint) !== true)).toEqual([]);
    expect(rows.filter(([code]) => !(code in FAILURES))).toEqual([]);
    expect(new Set(remedies.keys()).size).toBe(rows.length);
  });

  test('names commands and flags that there are', () => {
    const lines = rows.flatMap(([, remedy]) => [...remedy.matchAll(/`tunnel ([^`]+)`/g)].map(([, line = '']) => line));
    const unknown = lines.filter((line) => {
      const [verb = '', ...words] = line.split(' ');
      const spec = VERBS.find(({ name }) => name === verb);
      const flags = spec?.options.flatMap((option) => option.flags.split(/[ ,]+/)) ?? [];
      return spec === undefined || words.some((word) => word.startsWith('--') && !flags.includes(word));
    });

    expect(lines.length).toBeGreaterThan(15);
    expect(unknown).toEqual([]);
  });
});

test('every folder and file that docs/architecture.md names is there, and every folder of src is named', () => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  const named = [...text.matchAll(/`(src\/[a-z-]+(?:\/[a-z-]+\.ts)?)`/g)].map(([, path = '']) => path);

  const missing = named.filter((path) => !existsSync(path));
  const unnamed = readdirSync('src', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !named.includes(`src/${entry.name}`))
    .map((entry) => entry.name);

  expect({ missing, unnamed }).toEqual({ missing: [], unnamed: [] });
});

test('docs/ssh.md names tests that are there', () => {
  const text = readFileSync('docs/ssh.md', 'utf8');
  const named = [...text.matchAll(/`(test\/\S+\.test\.ts)`: "([^"]+)"(?:, "([^"]+)")?/g)].flatMap(
    ([row, file, title, second]) => [[row, file, title], ...(second === undefined ? [] : [[row, file, second]])],
  );

  const missing = named.filter(([, file = '', title = '']) => {
    return !existsSync(file) || !readFileSync(file, 'utf8').includes(title);
  });

  expect(named.length).toBeGreaterThan(15);
  expect(missing.map(([row]) => row)).toEqual([]);
});

test('docs/ssh.md says of each keyword of ssh_config whether it is named in a warning, as it is', () => {
  const text = readFileSync('docs/ssh.md', 'utf8');
  const rows = [...text.matchAll(/^\| (takes effect|without meaning|ignored)[^|]* \| ([A-Z][^|]*[a-zA-Z0-9]) +\|/gm)];
  const listed = rows.flatMap(([, effect, keywords = '']) => keywords.split(', ').map((keyword) => [effect, keyword]));

  const warned = ([, keyword = '']: readonly (string | undefined)[]): boolean => {
    const said = new Map([[keyword.toLowerCase(), ['something']]]);
    return readSettings('library', said, new Map()).warnings.some((warning) => warning.includes('is not honoured'));
  };
  expect(listed.length).toBeGreaterThan(90);
  expect(listed.filter((one) => warned(one) !== (one[0] === 'ignored'))).toEqual([]);
});
