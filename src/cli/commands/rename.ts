import { lstat, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TunnelError } from '../../model/failure.ts';
import { PROFILE_NAME } from '../../model/profile.ts';
import { readCatalog } from '../catalog.ts';
import type { Run } from '../command.ts';
import { findProfile, isRunning } from '../profile-file.ts';

/** `tunnel rename OLD NEW`: in its folder, and never over a profile that is there. */
export const run: Run = async ([old = '', name = ''], _options, context) => {
  const profile = await findProfile(old, context);
  if (!PROFILE_NAME.test(name)) {
    throw new TunnelError('USAGE', `Cannot name a profile ${name}: lower-case letters, digits, dots, - and _ only`);
  }
  if (await isRunning(profile.name, context)) {
    throw new TunnelError('USAGE', `Cannot rename ${profile.name}: it is running`, {
      hint: `Stop it first: \`tunnel down ${profile.name}\`.`,
    });
  }
  const file = join(dirname(profile.file), `${name}.yaml`);
  const taken = (await readCatalog(context.paths, context.cwd)).find((entry) => entry.name === name);
  if (taken !== undefined || (await exists(file))) {
    throw new TunnelError('USAGE', `Cannot rename ${profile.name} to ${name}: ${taken?.file ?? file} is there already`);
  }
  try {
    await rename(profile.file, file);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new TunnelError('FILE', `Cannot rename ${profile.file}: ${why}`, { cause: thrown });
  }
  if (context.json) context.out.json({ version: 1, name, file, before: profile.name });
  else context.out.say(`Renamed ${profile.name} to ${name}: ${file}`);
};

/** A dangling link counts: writing there would follow it. */
async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return false;
    throw new TunnelError('FILE', `Cannot look at ${file}: ${String(thrown)}`, { cause: thrown });
  }
}
