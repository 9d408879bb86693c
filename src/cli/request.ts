import { rawWords } from './globals.ts';
import { Options } from './options.ts';
import { GLOBAL_OPTIONS, VERBS, type VerbSpec } from './verbs.ts';

/** What a command line asks for. `about` undefined: the overview. */
export type Request =
  | { readonly asks: 'verb'; readonly verb: VerbSpec; readonly args: readonly string[]; readonly options: Options }
  | { readonly asks: 'help'; readonly about: string | undefined }
  | { readonly asks: 'version' };

/** `-h, --help` of the table. */
const HELP = GLOBAL_OPTIONS.filter(({ flags }) => flags.includes('--help')).flatMap(words);
const GLOBAL = GLOBAL_OPTIONS.flatMap(words);
export const VERSION_FLAGS = '-V, --version';

/**
 * Reads a command line of a verb, its words and the options that every verb takes, each written out: what scripts, prompts
 * and shells run again and again, and what needs no parser. One verb's words have a grammar of their own and pass as they are.
 * @returns undefined for any other, mistakes included: `command-line.ts` reads those, and would read these the same
 */
export function readPlain(argv: readonly string[]): Request | undefined {
  const raw = rawRequest(argv);
  if (raw !== undefined) return raw;
  const end = argv.indexOf('--');
  const before = end < 0 ? argv : argv.slice(0, end);
  const flags = before.filter((word) => word.startsWith('-'));
  const [name, ...args] = [...before.filter((word) => !word.startsWith('-')), ...(end < 0 ? [] : argv.slice(end + 1))];
  if (argv.length === 1 && VERSION_FLAGS.split(', ').includes(argv[0] ?? '')) return { asks: 'version' };
  if (flags.some((flag) => !GLOBAL.includes(flag))) return undefined;
  const help = before.findIndex((word) => HELP.includes(word));
  if (name === undefined) return { asks: 'help', about: undefined };
  const verb = VERBS.find((one) => one.name === name);
  if (verb === undefined || before.length === flags.length) return undefined;
  if (help >= 0) return { asks: 'help', about: help < before.indexOf(name) ? undefined : verb.name };
  return fits(args.length, verb) ? { asks: 'verb', verb, args, options: new Options({}) } : undefined;
}

/** A verb whose words have a grammar of their own: nothing after it is ours. */
function rawRequest(argv: readonly string[]): Request | undefined {
  const { verb: name, rest } = rawWords(argv) ?? {};
  const verb = VERBS.find((one) => one.name === name);
  if (verb === undefined || rest === undefined || rest.join(' ') === '--help') return undefined;
  return { asks: 'verb', verb, args: rest, options: new Options({}) };
}

/** `NAME` is required, `[NAME]` may be left out, `…` takes several. */
function fits(count: number, { args }: VerbSpec): boolean {
  const required = args.filter((arg) => !arg.startsWith('[')).length;
  const most = args.some((arg) => arg.includes('…')) ? Infinity : args.length;
  return required <= count && count <= most;
}

function words({ flags }: { readonly flags: string }): string[] {
  return flags.split(', ');
}
