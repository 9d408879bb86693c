import { parseDuration } from '../model/duration.ts';
import { TunnelError } from '../model/failure.ts';

/** The options of one command line, asked for by their long names without dashes: `options.text('from')`. */
export class Options {
  readonly #values: ReadonlyMap<string, string | true>;

  constructor(values: ReadonlyMap<string, string | true> | Readonly<Record<string, string | true>>) {
    this.#values = new Map(values instanceof Map ? values : Object.entries(values));
  }

  /** Whether the option was given. */
  flag(name: string): boolean {
    return this.#values.has(name);
  }

  /** The option's value; undefined where it was not given. */
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** The option's value in milliseconds. @throws USAGE where it is not a duration such as 500ms, 15s, 10m, 2h or 1d, or 0. */
  durationMs(name: string, fallbackMs: number): number {
    const text = this.text(name);
    if (text === undefined) return fallbackMs;
    const ms = text === '0' ? 0 : parseDuration(text);
    if (ms !== undefined) return ms;
    throw new TunnelError('USAGE', `Cannot read --${name} ${text}: not a duration`, {
      hint: 'Write it like 500ms, 15s, 10m or 2h.',
    });
  }
}
