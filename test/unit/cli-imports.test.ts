import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

/** `import … from '…'` and `export … from '…'`, but not `import type`, nor a dynamic import. */
const STATIC_IMPORT = /^(?:import|export)\s+(?!type\b)[^;]*?from\s+'([^']+)'/gm;

/** Packages that come with a file: those of every file that it imports at once. */
function packagesOf(entry: string, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  if (seen.has(entry)) return packages;
  seen.add(entry);
  for (const [, target = ''] of readFileSync(entry, 'utf8').matchAll(STATIC_IMPORT)) {
    if (!target.startsWith('.')) packages.add(target);
    else for (const name of packagesOf(join(dirname(entry), target), seen)) packages.add(name);
  }
  return packages;
}

/** Help and the version come from main alone. */
test.each([
  'main.ts',
  ...['status', 'list', 'completion', 'help', 'version', 'logs', 'port', 'wait', 'up', 'down'].map(
    (verb) => `commands/${verb}.ts`,
  ),
])('%s loads no SSH, no schema, no YAML and no prompts', (file) => {
  const entry = join(SRC, 'cli', file);
  const packages = [...packagesOf(entry)].filter((name) => !name.startsWith('node:'));
  expect({ [relative(SRC, entry)]: packages.filter((name) => name !== 'commander' && name !== 'chalk') }).toEqual({
    [relative(SRC, entry)]: [],
  });
});
