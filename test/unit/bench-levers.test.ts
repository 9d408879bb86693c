import { expect, test } from 'vitest';
import { LEVERS } from '../bench/lever-list.ts';

const standIns = LEVERS.flatMap(({ name, standIns }) =>
  Object.entries(standIns).map((pair) => [name, ...pair] as const),
);

test.each(standIns)(
  'the bench takes away %s by a module with the exports of the one it stands in for',
  async (_, real, standIn) => {
    const [wanted, given] = await Promise.all([exportsOf(real), exportsOf(standIn)]);

    expect(given).toEqual(wanted);
  },
);

async function exportsOf(url: string): Promise<string[]> {
  const found: unknown = await import(/* @vite-ignore */ url);
  return typeof found === 'object' && found !== null ? Object.keys(found).sort() : [];
}
