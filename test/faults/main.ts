/**
 * `npm run faults [-- --seed N] [--runs K] [--faults M]`: first the slow paths (90 s), unless a seed is replayed, then random
 * faults from a seed, promises checked, one line a run. `--runs 0` has the slow paths alone.
 * Ends with 1 and the seed that replays where a promise broke.
 */
import { runOptions } from '../support/run-options.ts';
import type { ProcessFacts } from './process-facts.ts';
import { runSchedule } from './schedule.ts';
import { runSlowPaths, SLOW_PATHS_MS } from './slow-paths.ts';

const options = runOptions('faults', 'some minutes', {
  seed: { kind: 'count', about: 'to replay, without the slow paths' },
  runs: { kind: 'count', about: 'of random faults (10); 0 has the slow paths alone' },
  faults: { kind: 'count', about: 'in each run (20)' },
});
const { seed: replayed, runs = 10, faults = 20 } = options;
const firstSeed = replayed ?? Math.floor(Date.now() / 1_000);
let failed = 0;
let passed = 0;

for (const { name, arrivedBytes, latencyMs, broken } of replayed === undefined ? await runSlowPaths() : []) {
  process.stdout.write(
    `slow path, ${name}: ${broken.length === 0 ? 'kept' : 'BROKEN'}, ${SLOW_PATHS_MS / 1_000} s with the default keepalive, ` +
      `${Math.round(arrivedBytes / 1_000)} kB arrived, last round trip ${Math.round(latencyMs ?? NaN)} ms\n`,
  );
  conclude(broken);
}

for (let run = 0; run < runs; run += 1) {
  const seed = firstSeed + run;
  const found = await runSchedule(seed, faults, (name) => process.stderr.write(`seed ${seed}: ${name}\n`));
  const { visits, logins, calmAfterMs, before, after, broken } = found;
  process.stdout.write(
    `seed ${seed}: ${faults} faults, ${visits.whole} whole, ${visits.cut} cut, ${visits.refused} refused, ` +
      `${logins} logins, calm after ${Math.round(calmAfterMs)} ms, ${show(before)} before and ${show(after)} after, ` +
      `${broken.length} promises broken\n`,
  );
  conclude(broken);
}
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
if (failed > 0) process.stdout.write('Replay a seed with: npm run faults -- --seed N --runs 1\n');
process.exitCode = failed > 0 ? 1 : 0;

function conclude(broken: readonly string[]): void {
  for (const promise of broken) process.stdout.write(`  ${promise}\n`);
  if (broken.length > 0) failed += 1;
  else passed += 1;
}

function show({ fileDescriptors, residentMiB, wakeUps }: ProcessFacts): string {
  return `${fileDescriptors} files, ${Math.round(residentMiB)} MiB, ${wakeUps} wake-ups a second`;
}
