import { compare, type Measure } from './compare.ts';
import type { Contestant, Course, Start } from './contestants.ts';
import type { Series } from './report.ts';

/** All contestants up at once, every measure in turn. */
export async function contest(
  starts: readonly Start[],
  course: Course,
  measures: readonly Measure[],
  rounds: number,
): Promise<Series[]> {
  const series: Series[] = [];
  await withContestants(starts, course, async (contestants) => {
    for (const measure of measures) {
      series.push(...(await compare(measure, contestants, course.sshd, rounds)));
      process.stderr.write(`${measure.columns[0]?.measure ?? ''}: done\n`);
    }
  });
  return series;
}

/** One measure of contestants that were just started, anew for each round. */
export async function coldContest(
  starts: readonly Start[],
  course: Course,
  measure: Measure,
  rounds: number,
): Promise<Series[]> {
  const found: Record<string, number[][]> = {};
  for (let round = 0; round < rounds; round += 1)
    for (const start of round % 2 === 0 ? starts : starts.toReversed())
      await withContestants([start], course, async (contestants) => {
        for (const one of contestants) (found[one.name] ??= []).push([...(await measure.once(one, course.sshd))]);
      });
  return measure.columns.map((column, index) => ({
    ...column,
    rounds: Object.fromEntries(
      Object.entries(found).map(([name, values]) => [name, values.map((value) => value[index] ?? NaN)]),
    ),
  }));
}

/** Starts them all, and stops them whatever happens. */
export async function withContestants(
  starts: readonly Start[],
  course: Course,
  use: (contestants: readonly Contestant[]) => Promise<void>,
): Promise<void> {
  const contestants: Contestant[] = [];
  try {
    for (const start of starts) contestants.push(await start(course));
    await use(contestants);
  } finally {
    await Promise.all(contestants.map((one) => one.stop()));
  }
}
