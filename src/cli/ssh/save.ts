import { join } from 'node:path';
import { listProfiles, writeProfile } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import { PROFILE_NAME } from '../../model/profile.ts';
import type { Context } from '../context.ts';
import { readSshWords } from '../wizard/ssh-line.ts';

/** `--save NAME`: keeps the command line as a profile. @throws USAGE for a bad or taken name, PROFILE_INVALID */
export async function saveCommand(
  name: string,
  words: readonly string[],
  say: (line: string) => void,
  context: Context,
): Promise<void> {
  const { cwd, paths } = context;
  if (!PROFILE_NAME.test(name)) {
    throw new TunnelError('USAGE', `Cannot name a profile ${name}: lower-case letters, digits, dots, - and _ only`);
  }
  if ((await listProfiles(cwd, paths)).some((profile) => profile.name === name)) {
    throw new TunnelError('USAGE', `Cannot write the profile ${name}: there is one of that name`);
  }
  const at = words.findIndex((word) => /^--save(?:=|$)/.test(word));
  const { profile, warnings } = readSshWords(words.toSpliced(at, words[at] === '--save' ? 2 : 1), cwd);
  const { checkText } = await import('../../compose-cli.ts');
  const { formatProfile } = await import('../../profile/edit.ts');
  const file = join(paths.profilesDir, `${name}.yaml`);
  const text = formatProfile(profile);
  const problems = await checkText(text, file, context);
  if (problems.length > 0)
    throw new TunnelError('PROFILE_INVALID', `Cannot write ${file}: it would be wrong`, { problems });
  await writeProfile(file, text);
  for (const warning of warnings) say(`note: ${warning}`);
  say(`Saved as ${file}: \`tunnel up ${name}\` keeps it up.`);
}
