import { readProfileText, writeProfile, type ProfileFile } from '../../files/profiles.ts';
import { TunnelError, type Problem } from '../../model/failure.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { openCopy, type EditedCopy } from '../profiles/editor.ts';
import { isRunning, profileOf } from '../profiles/profile-file.ts';
import { askYesNo } from '../prompts.ts';
import { problemLines } from '../render/problems.ts';

/** `tunnel edit NAME`: on a copy, checked before it takes the profile's place in one step. */
export const run: Run = async ([argument = ''], _options, context) => {
  const profile = await profileOf(argument, context);
  const before = await readProfileText(profile.file);
  const copy = await openCopy(profile.file, before, context.env);
  try {
    const after = await editUntilValid(profile, copy, context);
    const changed = after !== before;
    if (changed) await save(profile, before, after);
    if (context.json) context.out.json({ version: 1, name: profile.name, file: profile.file, changed });
    else await report(profile, changed, context);
  } finally {
    await copy.discard();
  }
};

/** @throws PROFILE_INVALID where the text is wrong and nobody will correct it: the profile is as it was then */
async function editUntilValid(profile: ProfileFile, copy: EditedCopy, context: Context): Promise<string> {
  const { checkText } = await import('../../compose-cli.ts');
  for (;;) {
    const text = await copy.edit();
    const problems = await checkText(text, profile.file, context);
    if (problems.length === 0) return text;
    if (!(await wantsAnotherGo(problems, context))) {
      throw new TunnelError('PROFILE_INVALID', `Cannot save ${profile.file}: ${mistakes(problems)}`, {
        problems: context.interactive ? [] : problems,
        hint: 'The profile is as it was.',
      });
    }
  }
}

async function wantsAnotherGo(problems: readonly Problem[], context: Context): Promise<boolean> {
  if (!context.interactive) return false;
  for (const line of problemLines(problems, context.out.talkTheme)) context.out.warn(line);
  return askYesNo('Edit it again? (no: the profile stays as it was)', true, context.signal);
}

function mistakes({ length }: readonly Problem[]): string {
  return length === 1 ? 'it has a mistake' : `it has ${length} mistakes`;
}

async function save({ file }: ProfileFile, before: string, after: string): Promise<void> {
  if ((await readProfileText(file)) !== before) {
    throw new TunnelError('FILE', `Cannot save ${file}: another program has changed it meanwhile`);
  }
  await writeProfile(file, after);
}

async function report({ name, file }: ProfileFile, changed: boolean, context: Context): Promise<void> {
  if (!changed) return context.out.say('Nothing was changed.');
  context.out.say(`Saved ${file}.`);
  if (await isRunning(name, context)) context.out.say(`Apply it with: tunnel reload ${name}`);
}
