import { findProfile, type ProfileFile } from '../../files/profiles.ts';
import type { Context } from '../context.ts';
import { snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

/** Finds the profile that an argument means, by name or path. @throws PROFILE_NOT_FOUND, USAGE */
export function profileOf(argument: string, { cwd, paths }: Context): Promise<ProfileFile> {
  return findProfile(argument, cwd, paths);
}

/** Whether the supervisor runs a tunnel by this name; starts nothing. */
export function isRunning(name: string, context: Context): Promise<boolean> {
  return withSupervisorIfRunning(context, async (client) => {
    const { tunnels } = await snapshotOf(client, context.signal);
    return tunnels.some((tunnel) => tunnel.name === name && tunnel.state !== 'stopped');
  });
}
