/**
 * `npm run faults [-- --seed N] [--runs K] [--faults M]`: random faults from a seed, promises checked, one line a run.
 * Ends with 1 and the seed that replays where a promise broke.
 */
import type { ProcessFacts } from './process-facts.ts';
import { runSchedule } from './schedule.ts';

const firstSeed = option('--seed') ?? Math.floor(Date.now() / 1_000);
const runs = option('--runs') ?? 10;
const faults = option('--faults') ?? 20;
let failed = 0;

for (let run = 0; run < runs; run += 1) {
  const seed = firstSeed + run;
  const found = await runSchedule(seed, faults, (name) => process.stderr.write(`seed ${seed}: ${name}\n`));
  const { visits, logins, calmAfterMs, before, after, broken } = found;
  process.stdout.write(
    `seed ${seed}: ${faults} faults, ${visits.whole} whole, ${visits.cut} cut, ${visits.refused} refused, ` +
      `${logins} logins, calm after ${Math.round(calmAfterMs)} ms, ${show(before)} before and ${show(after)} after, ` +
      `${broken.length} promises broken\n`,
  );
  for (const promise of broken) process.stdout.write(`  ${promise}\n`);
  if (broken.length > 0) failed += 1;
}
process.stdout.write(`\n${runs - failed} passed, ${failed} failed\n`);
if (failed > 0) process.stdout.write('Replay one with: npm run faults -- --seed N --runs 1\n');
process.exitCode = failed > 0 ? 1 : 0;

function show({ fileDescriptors, residentMiB, wakeUps }: ProcessFacts): string {
  return `${fileDescriptors} files, ${Math.round(residentMiB)} MiB, ${wakeUps} wake-ups a second`;
}

function option(name: string): number | undefined {
  const at = process.argv.indexOf(name);
  const value = at < 0 ? NaN : Number(process.argv[at + 1]);
  return Number.isInteger(value) ? value : undefined;
}
