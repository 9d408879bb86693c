import { TunnelError } from '../../model/failure.ts';
import { didYouMean } from '../../model/nearest.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { overviewLines, verbLines } from '../render/help.ts';
import { GLOBAL_OPTIONS, VERBS } from '../verbs.ts';

/** `tunnel help [VERB]`. */
export function run(args: readonly string[], _options: Options, { out }: Context): Promise<void> {
  for (const line of helpLines(args[0], out)) out.data(line);
  return Promise.resolve();
}

/** The overview, or a verb's own help. @throws USAGE for a verb that is none */
export function helpLines(word: string | undefined, { theme }: Pick<Context['out'], 'theme'>): string[] {
  if (word === undefined) return overviewLines(VERBS, GLOBAL_OPTIONS, theme);
  const verb = VERBS.find(({ name, hidden }) => name === word && hidden !== true);
  if (verb === undefined) throw noSuchVerb(word);
  return verbLines(verb, GLOBAL_OPTIONS, theme);
}

/** USAGE, with the verb that was probably meant. */
export function noSuchVerb(word: string): TunnelError {
  const names = VERBS.filter(({ hidden }) => hidden !== true).map(({ name }) => name);
  return new TunnelError('USAGE', `Cannot run \`tunnel ${word}\`: no such verb${didYouMean(word, names)}`);
}
