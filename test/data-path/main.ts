/**
 * `npm run data-path [-- --seed N] [--runs K] [--seconds S] [--without-addon]`: bytes at random through a real sshd, long. Ends with 1,
 * the counterexample and the seed that replays it where a byte was wrong, missing or stuck.
 */
import { runOptions } from '../support/run-options.ts';

const options = runOptions('data-path', 'until one of the two is reached', {
  seed: { kind: 'count', about: 'of the first runs; each ten have the next one' },
  runs: { kind: 'count', about: 'at most (200)' },
  seconds: { kind: 'count', about: 'at most (3600)' },
  'without-addon': { kind: 'switch', about: "without ssh2's native part" },
});
if (options['without-addon']) await import('../support/without-addon.ts');
const { default: fc } = await import('fast-check');
const { bindingAvailable } = await import('../../src/ssh/compat/internals.ts');
const { dataPathProperty } = await import('./property.ts');
const { DataPathStage } = await import('./stage.ts');

/** Runs of one seed: the time is looked at between seeds, when nothing is under way. */
const RUNS_A_SEED = 10;

const { seed: firstSeed = Math.floor(Date.now() / 1_000), runs: mostRuns = 200 } = options;
const mostMs = (options.seconds ?? 3_600) * 1_000;

const stage = await DataPathStage.start();
const startedMs = performance.now();
let runs = 0;
for (let seed = firstSeed; runs < mostRuns && performance.now() - startedMs < mostMs; seed += 1) {
  const numRuns = Math.min(RUNS_A_SEED, mostRuns - runs);
  const found = await fc.check(dataPathProperty(stage), { seed, numRuns, endOnFailure: true });
  runs += found.numRuns;
  if (!found.failed) continue;
  process.stdout.write(`  ${String(found.errorInstance)}\n  ${JSON.stringify(found.counterexample)}\n`);
  process.stdout.write(`Replay with: npm run data-path -- --seed ${seed} --runs ${found.numRuns}\n`);
  process.exitCode = 1;
  break;
}
const seconds = Math.round((performance.now() - startedMs) / 1_000);
const gigabytes = (stage.carriedBytes / 1e9).toFixed(2);
process.stdout.write(
  `Node ${process.versions.node}, ${bindingAvailable ? 'with' : 'without'} ssh2's addon, from seed ${firstSeed}: ` +
    `${runs} runs, ${gigabytes} GB in ${seconds} s: ${process.exitCode === 1 ? 'FAILED' : 'holds'}\n`,
);
await stage[Symbol.asyncDispose]();
process.exit(); // a run that failed may have left its own behind
