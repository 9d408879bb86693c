import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { didYouMean } from '../../model/nearest.ts';
import { profileNames, readCatalog } from '../profiles/catalog.ts';
import { candidates, type Candidate } from '../completion/complete.ts';
import { completionScript, SHELLS } from '../completion/completion-scripts.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { GLOBAL_OPTIONS, VERBS } from '../verbs.ts';

/** `tunnel completion SHELL`: a script for the shell to read at its start. */
export function run(args: readonly string[], _options: Options, { out }: Context): Promise<void> {
  const [word = ''] = args;
  const shell = SHELLS.find((name) => name === word);
  if (shell === undefined) {
    const hint = `It is one of: ${SHELLS.join(', ')}.`;
    throw new TunnelError('USAGE', `Cannot complete for ${word}: no such shell${didYouMean(word, SHELLS)}`, { hint });
  }
  out.data(completionScript(shell));
  return Promise.resolve();
}

/** `tunnel __complete -- WORD…`: a candidate a line, with what it is behind a tab. Failures say nothing: a shell is in the middle of a line. */
export async function complete(args: readonly string[], _options: Options, context: Context): Promise<void> {
  const { paths, cwd, out } = context;
  const found = await candidates(args, {
    verbs: VERBS,
    globalOptions: GLOBAL_OPTIONS,
    profiles: () => profileNames(paths, cwd).map((word) => ({ word, about: '' })),
    tags: async () => tagCandidates(await readCatalog(paths, cwd)),
  });
  for (const { word, about } of found)
    out.data(about === '' ? cleanLine(word) : `${cleanLine(word)}\t${cleanLine(about)}`);
}

function tagCandidates(profiles: readonly { readonly tags: readonly string[] }[]): Candidate[] {
  return [...new Set(profiles.flatMap(({ tags }) => tags))].sort().map((word) => ({ word, about: '' }));
}
