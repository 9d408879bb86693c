/**
 * `npm run fuzz [-- --seed N] [--runs K] [--only NAME]`: every parser of what others wrote, long. Ends with 1, the counterexample
 * and the seed that replays it where a property does not hold.
 */
import fc from 'fast-check';
import { PARSERS } from './parsers.ts';

const seed = Number(option('--seed') ?? Math.floor(Date.now() / 1_000));
const numRuns = Number(option('--runs') ?? 100_000);
const only = option('--only');
let failed = 0;

for (const { name, property } of PARSERS.filter((parser) => only === undefined || parser.name === only)) {
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

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}
