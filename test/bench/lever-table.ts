import type { LeverLoad } from './lever-loads.ts';
import { markdown, median, NOISE, short, type Series } from './report.ts';

/** What one load found, of everything on and of the levers that it is for. */
export interface LeverSeries {
  readonly kind: LeverLoad['kind'];
  /** In the order of the kind's columns. */
  readonly series: readonly Series[];
}

const COLUMNS: Readonly<Record<LeverLoad['kind'], readonly string[]>> = {
  transfer: ['rate', 'CPU of the client', 'CPU of the server'],
  latency: ['p50', 'p99'],
  churn: ['rate', 'CPU of the client'],
  figure: ['figure'],
};

/** Markdown: a table for each kind of load with a row for each lever and load; then the levers without which nothing changed. */
export function renderLevers(levers: readonly string[], found: readonly LeverSeries[], allOn: string): string {
  const kinds = (['transfer', 'latency', 'churn', 'figure'] as const).filter((kind) =>
    found.some((one) => one.kind === kind),
  );
  const tables = kinds.map((kind) => {
    const ofKind = found.filter((one) => one.kind === kind);
    const rows = levers.flatMap((lever) => ofKind.flatMap((one) => rowOf(lever, one, allOn)));
    return markdown(['without', 'load', `${allOn}`, ...COLUMNS[kind]], rows);
  });
  const measured = levers.filter((lever) => found.some(({ series }) => series.some((one) => has(one, lever))));
  const idle = measured.filter(
    (lever) => !found.some(({ series }) => series.some((one) => differs(one, lever, allOn))),
  );
  const most = `${NOISE * 100} %`;
  const told =
    idle.length === 0
      ? `Each lever makes a difference of ${most} or more, in all rounds, in one of its loads.`
      : `No difference of ${most} or more, in all rounds, in any of their loads: ${idle.join(', ')}.`;
  return [...tables, told].join('\n\n');
}

function rowOf(lever: string, { series }: LeverSeries, allOn: string): string[][] {
  const [first] = series;
  if (first === undefined || !has(first, lever)) return [];
  const load = first.measure.replace(/, p50$/, '');
  const whole = series.map((one) => `${short(median(one.rounds[allOn] ?? []))} ${one.unit}`).join(', ');
  return [[lever, load, whole, ...series.map((one) => cell(one, lever, allOn))]];
}

/** The ratio of the medians, with the lowest and the highest of two neighbours' rounds. */
function cell(one: Series, lever: string, allOn: string): string {
  const pairs = pairsOf(one, lever, allOn);
  const ratio = ratioOf(one, lever, allOn);
  const spread = `${ratio.toFixed(2)} (${Math.min(...pairs).toFixed(2)}–${Math.max(...pairs).toFixed(2)})`;
  if (!differs(one, lever, allOn)) return spread;
  return `${spread}, ${ratio > 1 === one.more ? 'better' : 'worse'}`;
}

function has(one: Series, lever: string): boolean {
  return (one.rounds[lever]?.length ?? 0) > 0;
}

/** Beyond the noise of the machine, and beyond its own spread: all rounds say the same. */
function differs(one: Series, lever: string, allOn: string): boolean {
  const pairs = pairsOf(one, lever, allOn);
  const agree = pairs.every((ratio) => ratio > 1) || pairs.every((ratio) => ratio < 1);
  return has(one, lever) && agree && Math.abs(ratioOf(one, lever, allOn) - 1) >= NOISE;
}

function pairsOf(one: Series, lever: string, allOn: string): number[] {
  return (one.rounds[lever] ?? []).map((value, round) => value / (one.rounds[allOn]?.[round] ?? NaN));
}

function ratioOf(one: Series, lever: string, allOn: string): number {
  return median(one.rounds[lever] ?? []) / median(one.rounds[allOn] ?? []);
}
