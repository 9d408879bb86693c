import { dirname, join } from 'node:path';
import { listProfiles, renameProfile } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import { PROFILE_NAME } from '../../model/profile.ts';
import type { Run } from '../command.ts';
import { isRunning, profileOf } from '../profiles/profile-file.ts';

/** `tunnel rename OLD NEW`: in its folder, and never over a profile that is there. */
export const run: Run = async ([old = '', name = ''], _options, context) => {
  const profile = await profileOf(old, context);
  if (!PROFILE_NAME.test(name)) {
    throw new TunnelError('USAGE', `Cannot name a profile ${name}: lower-case letters, digits, dots, - and _ only`);
  }
  if (await isRunning(profile.name, context)) {
    throw new TunnelError('USAGE', `Cannot rename ${profile.name}: it is running`, {
      hint: `Stop it first: \`tunnel down ${profile.name}\`.`,
    });
  }
  const file = join(dirname(profile.file), `${name}.yaml`);
  const taken = (await listProfiles(context.cwd, context.paths)).find((other) => other.name === name);
  if (taken !== undefined) {
    throw new TunnelError('USAGE', `Cannot rename ${profile.name} to ${name}: ${taken.file} is there already`);
  }
  await renameProfile(profile.file, file);
  if (context.json) context.out.json({ version: 1, name, file, before: profile.name });
  else context.out.say(`Renamed ${profile.name} to ${name}: ${file}`);
};
