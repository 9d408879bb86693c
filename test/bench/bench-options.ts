import { parseArgs } from 'node:util';

/** What a bench is told. */
export interface BenchOptions {
  /** Fewer rounds of less: to see that all runs, and roughly where. */
  readonly quick: boolean;
  /** Puts the figures into docs/performance.md. */
  readonly write: boolean;
  /** undefined: all parts. */
  readonly only: readonly string[] | undefined;
}

/**
 * Reads the command line of `npm run NAME`. `--help` and whatever it does not know end the program here: a full run takes minutes.
 * @param parts what `--only` may name; none where a bench is always run whole
 * @param lasts how long, in words
 */
export function benchOptions(name: string, lasts: string, parts: readonly string[] = []): BenchOptions {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        only: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) leave(usage(name, lasts, parts), 0);
    const only = values.only?.split(',');
    const unknown = only?.find((part) => !parts.includes(part));
    if (unknown !== undefined) throw new TypeError(`Unknown part '${unknown}'`);
    return { quick: values.quick, write: values.write, only };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return leave(`${error.message}\n\n${usage(name, lasts, parts)}`, 2);
  }
}

function usage(name: string, lasts: string, parts: readonly string[]): string {
  return [
    `npm run ${name} -- [options]        (${lasts}; nothing else should run meanwhile)`,
    '',
    '  --quick           fewer rounds of less',
    '  --write           put the figures into docs/performance.md',
    ...(parts.length === 0 ? [] : [`  --only=PART,...   of: ${parts.join(', ')}`]),
    '  --help',
    '',
  ].join('\n');
}

function leave(text: string, code: number): never {
  (code === 0 ? process.stdout : process.stderr).write(text);
  process.exit(code);
}
