/** One measure of one contestant: the value of each round, in the measure's unit. */
export interface Series {
  readonly measure: string;
  readonly unit: string;
  /** Whether a larger value is better. */
  readonly more: boolean;
  readonly rounds: Readonly<Record<string, readonly number[]>>;
}

/** Differences under this share of the value are noise on a shared machine, and are not called a difference. */
const NOISE = 0.1;

/** Markdown rows: medians with minimum and maximum, and the ratio to `reference` of the same run. */
export function renderTable(series: readonly Series[], contestants: readonly string[], reference: string): string {
  const head = [
    `| measure | ${contestants.join(' | ')} | ratio to ${reference} |`,
    `| --- |${' --- |'.repeat(contestants.length + 1)}`,
  ];
  const rows = series.map((one) => {
    const cells = contestants.map((name) => cell(one.rounds[name] ?? []));
    const ratios = contestants.filter((name) => name !== reference).map((name) => verdict(one, name, reference));
    return `| ${one.measure} (${one.unit}) | ${cells.join(' | ')} | ${ratios.join(', ')} |`;
  });
  return [...head, ...rows].join('\n');
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function cell(values: readonly number[]): string {
  return `${short(median(values))} (${short(Math.min(...values))}–${short(Math.max(...values))})`;
}

function verdict({ rounds, more }: Series, name: string, reference: string): string {
  const ratio = median(rounds[name] ?? []) / median(rounds[reference] ?? []);
  if (Math.abs(ratio - 1) < NOISE) return `${ratio.toFixed(2)}, no difference`;
  return `${ratio.toFixed(2)}, ${ratio > 1 === more ? 'better' : 'worse'}`;
}

function short(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
