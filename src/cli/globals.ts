/** Options of every verb that decide how the command speaks, even of a command line that cannot be read. */
export interface Globals {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly noColor: boolean;
}

/** Looks for them in the bare words, before or after the verb, single or bundled (`-qf`); what follows `--` is data. */
export function readGlobals(argv: readonly string[]): Globals {
  const end = argv.indexOf('--');
  const words = rawWords(argv)?.before ?? (end < 0 ? argv : argv.slice(0, end));
  const bundled = (letter: string): boolean => words.some((word) => SHORT_FLAGS.test(word) && word.includes(letter));
  return {
    json: words.includes('--json'),
    quiet: words.includes('--quiet') || bundled('q'),
    verbose: words.includes('--verbose') || bundled('v'),
    noColor: words.includes('--no-color'),
  };
}

/** Every short option of every verb is a flag without a value: test/unit/cli-verbs.test.ts holds that. */
const SHORT_FLAGS = /^-[a-zA-Z]+$/;

/** Verbs whose words have a grammar of their own. */
const RAW_VERBS: readonly string[] = ['ssh'];

/** Such a verb, what stands before it, and its own words; undefined for another verb. */
export function rawWords(
  argv: readonly string[],
): { readonly verb: string; readonly before: readonly string[]; readonly rest: readonly string[] } | undefined {
  const at = argv.findIndex((word) => !word.startsWith('-'));
  const verb = argv[at];
  if (verb === undefined || !RAW_VERBS.includes(verb)) return undefined;
  return { verb, before: argv.slice(0, at), rest: argv.slice(at + 1) };
}
