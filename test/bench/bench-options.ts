import { runOptions } from '../support/run-options.ts';

/** What a bench is told. */
export interface BenchOptions {
  /** Fewer rounds of less: to see that all runs, and roughly where. */
  readonly quick: boolean;
  /** Puts the figures into docs/performance.md. */
  readonly write: boolean;
  /** undefined: all parts. */
  readonly only?: readonly string[] | undefined;
}

const WHOLE = {
  quick: { kind: 'switch', about: 'fewer rounds of less' },
  write: { kind: 'switch', about: 'put the figures into docs/performance.md' },
} as const;

/** @param parts what `--only` may name; none where a bench is always run whole @param lasts how long, in words */
export function benchOptions(name: string, lasts: string, parts: readonly string[] = []): BenchOptions {
  const quietly = `${lasts}; nothing else should run meanwhile`;
  if (parts.length === 0) return runOptions(name, quietly, WHOLE);
  return runOptions(name, quietly, { ...WHOLE, only: { kind: 'names', about: 'of', of: parts } });
}
