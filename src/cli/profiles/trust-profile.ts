import { isTrusted, trustProfile, untrustProfile } from '../../files/trusted.ts';
import { readProfileText } from '../../files/profiles.ts';
import { clean } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { needsTrust } from '../../profile/needs-trust.ts';
import { parseProfile } from '../../profile/parse.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { profileOf } from './profile-file.ts';
import { askYesNo } from '../prompts.ts';

/** Accepts a profile of a working directory as it is now, once a person has seen what it may do. */
export async function trustFile(argument: string, options: Options, context: Context): Promise<void> {
  const { file } = await profileOf(argument, context);
  const text = await readProfileText(file);
  const parsed = parseProfile(text, file);
  if (!parsed.ok) {
    throw new TunnelError('PROFILE_INVALID', `Cannot trust ${file}: it has mistakes`, { problems: parsed.problems });
  }
  const reasons = needsTrust(parsed.profile);
  const already = await isTrusted(file, text, context.paths);
  if (!already) {
    if (!(await agreed(file, text, reasons, options, context))) return context.out.say('Nothing was changed.');
    if ((await readProfileText(file)) !== text) {
      throw new TunnelError('FILE', `Cannot trust ${file}: it has changed since it was shown`);
    }
    await trustProfile(file, context.paths);
  }
  if (context.json) return context.out.json({ version: 1, file, reasons, trusted: true });
  context.out.say(already ? `${file} is trusted already.` : `Trusted ${file} as it is now; a change of it ends that.`);
}

/** Takes the acceptance back. */
export async function untrustFile(argument: string, context: Context): Promise<void> {
  const { file } = await profileOf(argument, context);
  const was = await untrustProfile(file, context.paths);
  if (context.json) return context.out.json({ version: 1, file, trusted: false, was });
  context.out.say(was ? `${file} is not trusted any more.` : `${file} was not trusted.`);
}

async function agreed(
  file: string,
  text: string,
  reasons: readonly string[],
  options: Options,
  { interactive, out, signal }: Context,
): Promise<boolean> {
  if (options.flag('yes')) return true;
  if (!interactive) {
    throw new TunnelError('USAGE', `Cannot ask whether to trust ${file}: this is no terminal`, {
      hint: 'Read it, then say so with --yes.',
    });
  }
  out.warn(clean(text));
  for (const reason of reasons) out.warn(out.talkTheme.warn(`It ${reason}.`));
  return askYesNo(`Trust ${file} as it is now?`, false, signal);
}
