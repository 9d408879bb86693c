import { expect, test } from 'vitest';
import { suggestPort, type PortFacts } from '../../src/cli/wizard/ports.ts';

test.each<[what: string, wanted: number, usual: number | undefined, facts: PortFacts, port: number, why: string]>([
  ['its own port for root', 110, undefined, machine(0), 110, ''],
  ['its own port where it needs no root', 5432, undefined, machine(1024), 5432, ''],
  ['1110 in place of 110', 110, undefined, machine(1024), 1110, 'ports below 1024 need root'],
  ['the port that people use in its place', 80, 8080, machine(1024), 8080, 'ports below 1024 need root'],
  ['the next one where that is taken', 5432, undefined, machine(1024, 5432, 5433), 5434, '5432 is taken'],
  ['both reasons together', 80, 8080, machine(1024, 8080), 8081, 'ports below 1024 need root; 8080 is taken'],
])('suggests %s', async (_what, wanted, usual, facts, port, why) => {
  expect(await suggestPort(wanted, usual, facts)).toEqual({ port, why });
});

test('suggests a free port of any number where all near ones are taken', async () => {
  const suggestion = await suggestPort(5432, undefined, { lowest: 0, free: () => Promise.resolve(false) });
  expect(suggestion).toEqual({ port: 0, why: '5432 and the 20 ports after it are taken' });
});

function machine(lowest: number, ...taken: readonly number[]): PortFacts {
  return { lowest, free: (port) => Promise.resolve(!taken.includes(port)) };
}
