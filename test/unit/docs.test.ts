import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FAILURES } from '../../src/model/failure.ts';

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
  const named = [...text.matchAll(/`(test\/\S+\.test\.ts)`: "([^"]+)"/g)];

  const missing = named.filter(([, file = '', title = '']) => {
    return !existsSync(file) || !readFileSync(file, 'utf8').includes(title);
  });

  expect(named.length).toBeGreaterThan(15);
  expect(missing.map(([row]) => row)).toEqual([]);
});
