/**
 * `npm run fuzz [-- --seed N] [--runs K] [--only NAME]`: every parser of what others wrote, long. Ends with 1, the counterexample
 * and the seed that replays it where a property does not hold.
 */
import fc from 'fast-check';
import { runOptions } from '../support/run-options.ts';
import { PARSERS } from './parsers.ts';

const options = runOptions('fuzz', 'ten minutes for each parser at most', {
  seed: { kind: 'count', about: 'of the inputs' },
  runs: { kind: 'count', about: 'of each parser (100000)' },
  only: { kind: 'names', about: 'of', of: PARSERS.map(({ name }) => name) },
});
const { seed = Math.floor(Date.now() / 1_000), runs: numRuns = 100_000, only } = options;
let failed = 0;

for (const { name, property } of PARSERS.filter((parser) => only?.includes(parser.name) ?? true)) {
  const startedMs = performance.now();
  const found = await fc.check(property, { seed, numRuns, interruptAfterTimeLimit: 600_000 });
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  process.stdout.write(
    `seed ${seed}: ${name}, ${found.numRuns} runs in ${seconds} s: ${found.failed ? 'FAILED' : 'holds'}\n`,
  );
  if (!found.failed) continue;
  failed += 1;
  process.stdout.write(
    `  ${JSON.stringify(found.counterexample)?.slice(0, 2_000)}\n  ${String(found.errorInstance)}\n`,
  );
}
process.stdout.write(`\n${failed} failed\n`);
if (failed > 0) process.stdout.write(`Replay with: npm run fuzz -- --seed ${seed} --runs ${numRuns} --only NAME\n`);
process.exitCode = failed > 0 ? 1 : 0;
