import type { OptionSpec, VerbSpec } from '../verbs.ts';

/** A word that the shell may offer, and what it is. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}
export interface Completable {
  readonly verbs: readonly VerbSpec[];
  readonly globalOptions: readonly OptionSpec[];
  /** Read only where a profile can stand. */
  readonly profiles: () => readonly Candidate[];
  readonly tags: () => Promise<readonly Candidate[]>;
}

/**
 * What can stand where the cursor is.
 * @param words what was typed after `tunnel`; the last is the word at the cursor, and may be empty
 */
export async function candidates(words: readonly string[], from: Completable): Promise<readonly Candidate[]> {
  const partial = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const offered = await offer(partial, before, from);
  return offered.filter(({ word }) => word.startsWith(partial));
}

async function offer(partial: string, before: readonly string[], from: Completable): Promise<readonly Candidate[]> {
  const shown = from.verbs.filter(({ hidden }) => hidden !== true);
  const verbAt = before.findIndex((word) => !word.startsWith('-'));
  const verb = verbAt < 0 ? undefined : shown.find(({ name }) => name === before[verbAt]);
  if (verbAt >= 0 && verb === undefined) return [];
  const options = [...(verb?.options ?? []), ...from.globalOptions];
  const asked = options.find((option) => takesValue(option) && optionWords(option).includes(before.at(-1) ?? ''));
  if (asked !== undefined) return optionValues(asked, from);
  if (partial.startsWith('-')) {
    return options.flatMap((option) => optionWords(option).map((word) => ({ word, about: option.help })));
  }
  if (verb === undefined) return shown.map(({ name, brief }) => ({ word: name, about: brief }));
  return operands(verb, before.slice(verbAt + 1), shown, from);
}

function operands(
  verb: VerbSpec,
  after: readonly string[],
  verbs: readonly VerbSpec[],
  from: Completable,
): readonly Candidate[] {
  const valued = verb.options.filter(takesValue).flatMap(optionWords);
  const given = after.filter((word, at) => !word.startsWith('-') && !valued.includes(after[at - 1] ?? ''));
  const several = verb.args.some((arg) => arg.includes('…'));
  if (given.length > 0 && !several) return [];
  if (verb.words === 'verbs') return verbs.map(({ name, brief }) => ({ word: name, about: brief }));
  if (verb.words === 'profiles') return from.profiles().filter(({ word }) => !given.includes(word));
  return verb.words.map((word) => ({ word, about: '' }));
}

function optionValues({ flags }: OptionSpec, from: Completable): Promise<readonly Candidate[]> | readonly Candidate[] {
  if (flags.endsWith('<tag>')) return from.tags();
  const words = Object.entries(WORDS).find(([value]) => flags.endsWith(value))?.[1] ?? [];
  return words.map((word) => ({ word, about: '' }));
}

/** Options whose values are a few words. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  '<state>': ['up', 'down'],
  '<protocol>': ['pcp', 'nat-pmp', 'upnp'],
};

function takesValue({ flags }: OptionSpec): boolean {
  return flags.endsWith('>');
}

/** `-f, --foreground` as its two words. */
function optionWords({ flags }: OptionSpec): string[] {
  return flags.split(/, | /).filter((word) => word.startsWith('-'));
}
