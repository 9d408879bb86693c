/** One measure of one contestant: the value of each round, in the measure's unit. */
export interface Series {
  readonly measure: string;
  readonly unit: string;
  /** Whether a larger value is better. */
  readonly more: boolean;
  readonly rounds: Readonly<Record<string, readonly number[]>>;
}

/** How far one contestant is from the reference in one measure; over 1 is better, whatever the unit. */
export interface Bar {
  readonly measure: string;
  readonly better: number;
}

/** What was found of one contestant: by measure, the median and its ratio to the reference; null where there is none. */
export type Facts = Readonly<Record<string, { readonly value: number; readonly ratio: number | null }>>;

/** Differences under this share of the value are noise on a shared machine, and are not called a difference. */
export const NOISE = 0.1;

/** Markdown rows: medians with minimum and maximum, and each contestant's ratio to `reference` of the same run. */
export function renderTable(series: readonly Series[], contestants: readonly string[], reference: string): string {
  const rivals = contestants.filter((name) => name !== reference);
  const heads = ['measure', ...contestants, ...rivals.map((name) => `${name} / ${reference}`)];
  const rows = series.map((one) => [
    `${one.measure} (${one.unit})`,
    ...contestants.map((name) => cell(one.rounds[name] ?? [])),
    ...rivals.map((name) => verdict(one, name, reference)),
  ]);
  return markdown(heads, rows);
}

/** A Markdown table. */
export function markdown(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

export function factsOf(series: readonly Series[], name: string, reference: string): Facts {
  return Object.fromEntries(
    series.map((one) => {
      const ratio = ratioOf(one, name, reference);
      return [one.measure, { value: median(one.rounds[name] ?? []), ratio: Number.isFinite(ratio) ? ratio : null }];
    }),
  );
}

export function barsOf(series: readonly Series[], name: string, reference: string): Bar[] {
  return series.map((one) => {
    const ratio = ratioOf(one, name, reference);
    return { measure: one.measure, better: one.more ? ratio : 1 / ratio };
  });
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** Three figures, as many as a run can bear. */
export function short(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function cell(values: readonly number[]): string {
  if (values.length === 0) return '–';
  return `${short(median(values))} (${short(Math.min(...values))}–${short(Math.max(...values))})`;
}

function ratioOf({ rounds }: Series, name: string, reference: string): number {
  return median(rounds[name] ?? []) / median(rounds[reference] ?? []);
}

function verdict(one: Series, name: string, reference: string): string {
  const ratio = ratioOf(one, name, reference);
  if (!Number.isFinite(ratio)) return '–';
  if (Math.abs(ratio - 1) < NOISE) return `${ratio.toFixed(2)}, no difference`;
  return `${ratio.toFixed(2)}, ${ratio > 1 === one.more ? 'better' : 'worse'}`;
}
