import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { TunnelError } from '../../model/failure.ts';
import type { Selection } from '../../model/request.ts';
import { isProfilePath, tunnelName } from '../../model/profile-name.ts';
import { noSuchProfile, profileNames, readCatalog } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';

/** Whether a name or a path leads to a profile: its content is not looked at. */
export function profileExists(argument: string, { paths, cwd }: Context): boolean {
  if (!isProfilePath(argument)) return profileNames(paths, cwd).includes(argument);
  return existsSync(resolve(cwd, argument));
}

/** The tunnels that a selection means while no supervisor runs: all are stopped. @throws PROFILE_NOT_FOUND */
export async function existing(select: Selection, context: Context): Promise<readonly string[]> {
  const { paths, cwd } = context;
  if ('all' in select) return [];
  if ('tag' in select) {
    const tagged = (await readCatalog(paths, cwd)).filter(({ tags }) => tags.includes(select.tag));
    if (tagged.length === 0)
      throw new TunnelError('PROFILE_NOT_FOUND', `Cannot find a profile with the tag ${select.tag}`);
    return tagged.map(({ name }) => name);
  }
  for (const name of select.names) {
    if (!profileExists(name, context)) throw noSuchProfile(name, profileNames(paths, cwd));
  }
  return select.names.map(tunnelName);
}
