import { sep } from 'node:path';
import { readProfileText, writeProfile, type ProfileFile } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import type { HopPlan } from '../../model/plan.ts';
import type { Context } from '../context.ts';
import type { Subject } from './subject.ts';

/** A profile that comes with a folder is everybody's: one person's key has no place in it. @throws USAGE */
export function refuseShared({ origin, file }: ProfileFile): void {
  if (origin !== 'project') return;
  throw new TunnelError('USAGE', `Cannot write a key of yours into ${file}: others use this profile too`, {
    hint: 'Name the key in your ~/.ssh/config, with IdentityFile for that host.',
  });
}

/** Whether the server is logged in to with this key and with nothing else before it. */
export function usesKey({ identities, agent }: HopPlan, file: string): boolean {
  return identities.length === 1 && identities[0]?.file === file && agent === null;
}

/**
 * Has the profile log in with the key from now on; comments stay.
 * @returns false where it does so already @throws FILE, PROFILE_INVALID: then the profile is as it was
 */
export async function useKey({ profile, server, key }: Subject, context: Context): Promise<boolean> {
  if (usesKey(server, key.file)) return false;
  const [{ setServerKey }, { checkText }] = await Promise.all([
    import('../../profile/edit-server.ts'),
    import('../../compose-cli.ts'),
  ]);
  const before = await readProfileText(profile.file);
  const after = setServerKey(before, asWritten(key.file, context));
  const problems = await checkText(after, profile.file, context);
  if (problems.length > 0) {
    throw new TunnelError('PROFILE_INVALID', `Cannot write ${profile.file}: it would be wrong`, { problems });
  }
  await writeProfile(profile.file, after);
  return true;
}

/** With `~`, so that a home that moves takes its keys along. */
function asWritten(file: string, { env }: Context): string {
  const home = env['HOME'] ?? '';
  return home !== '' && file.startsWith(home + sep) ? `~${file.slice(home.length)}` : file;
}
