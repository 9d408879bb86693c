import { readProfileText } from '../../files/profiles.ts';
import { clean } from '../../model/clean.ts';
import type { Run } from '../command.ts';
import { profileOf } from '../profiles/profile-file.ts';

/** `tunnel show NAME`: the file as it is written; with --json what will run. */
export const run: Run = async ([argument = ''], _options, context) => {
  const profile = await profileOf(argument, context);
  if (context.json) {
    const { resolveProfile } = await import('../../compose-cli.ts');
    return context.out.json({
      version: 1,
      name: profile.name,
      file: profile.file,
      plan: await resolveProfile(argument, context),
    });
  }
  const text = await readProfileText(profile.file);
  context.out.data(clean(text, Infinity).replace(/\n$/, ''));
};
