/** The command lines of what takes minutes: benches, faults, fuzz, soak. */
import { parseArgs } from 'node:util';

/** A switch, a whole number, a text, or names out of a list with commas between them. */
export interface RunOption {
  readonly kind: 'switch' | 'count' | 'text' | 'names';
  readonly about: string;
  /** What `names` may be. */
  readonly of?: readonly string[];
}

type Spec = Readonly<Record<string, RunOption>>;

interface Values {
  readonly switch: boolean;
  readonly count: number | undefined;
  readonly text: string | undefined;
  readonly names: readonly string[] | undefined;
}

type Read<S extends Spec> = { readonly [Name in keyof S]: Values[S[Name]['kind']] };

/**
 * Reads the command line of `npm run COMMAND`. `--help`, and whatever it does not know or cannot be read, ends the program here: a run
 * that was meant otherwise takes minutes, or tries nothing and finds nothing wrong.
 * @param lasts how long, in words
 */
export function runOptions<const S extends Spec>(command: string, lasts: string, spec: S): Read<S> {
  try {
    const values = parse(spec);
    if (values.help === true) leave(usage(command, lasts, spec), 0);
    const read = Object.entries(spec).map(([name, option]) => [name, valueOf(name, option, values[name])]);
    return Object.fromEntries(read) as Read<S>;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return leave(`${error.message}\n\n${usage(command, lasts, spec)}`, 2);
  }
}

function parse(spec: Spec): Readonly<Record<string, unknown>> {
  const known = Object.entries(spec).map(([name, { kind }]) => [
    name,
    { type: kind === 'switch' ? ('boolean' as const) : ('string' as const) },
  ]);
  const options = { ...(Object.fromEntries(known) as Record<string, { type: 'boolean' | 'string' }>) };
  return parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } } }).values;
}

function valueOf(name: string, { kind, of = [] }: RunOption, value: unknown): Values[RunOption['kind']] {
  if (kind === 'switch') return value === true;
  if (typeof value !== 'string') return undefined;
  if (kind === 'text') return value;
  if (kind === 'count') {
    if (!/^\d{1,15}$/.test(value)) throw new TypeError(`--${name} is no whole number: '${value}'`);
    return Number(value);
  }
  const names = value.split(',');
  const unknown = names.find((one) => !of.includes(one));
  if (unknown !== undefined) throw new TypeError(`--${name} knows no '${unknown}'`);
  return names;
}

function usage(command: string, lasts: string, spec: Spec): string {
  const lines = Object.entries(spec).map(([name, option]): [string, string] => [written(name, option), told(option)]);
  const width = Math.max(...lines.map(([option]) => option.length)) + 3;
  return [
    `npm run ${command} -- [options]        (${lasts})`,
    '',
    ...lines.map(([option, about]) => `  ${option.padEnd(width)}${about}`),
    '  --help',
    '',
  ].join('\n');
}

function written(name: string, { kind }: RunOption): string {
  const value = { switch: '', count: '=N', text: '=TEXT', names: '=NAME,...' }[kind];
  return `--${name}${value}`;
}

function told({ about, of }: RunOption): string {
  return of === undefined ? about : `${about}: ${of.join(', ')}`;
}

function leave(text: string, code: number): never {
  (code === 0 ? process.stdout : process.stderr).write(text);
  process.exit(code);
}
