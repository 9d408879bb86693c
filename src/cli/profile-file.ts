import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TunnelError } from '../model/failure.ts';
import { isPath, noSuchProfile, readCatalog, tunnelName } from './catalog.ts';
import type { Context } from './context.ts';
import { snapshotOf, withSupervisorIfRunning } from './supervisor.ts';

/** The file that an argument means. */
export interface ProfileFile {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
}

/** Finds the profile of a name, or at a path. @throws PROFILE_NOT_FOUND */
export async function findProfile(argument: string, context: Context): Promise<ProfileFile> {
  if (isPath(argument)) return fileAt(resolve(context.cwd, argument));
  const catalog = await readCatalog(context.paths, context.cwd);
  const entry = catalog.find(({ name }) => name === argument);
  if (entry === undefined) {
    throw noSuchProfile(
      argument,
      catalog.map(({ name }) => name),
    );
  }
  return { name: entry.name, file: entry.file };
}

/** Whether the supervisor runs a tunnel by this name; starts nothing. */
export function isRunning(name: string, context: Context): Promise<boolean> {
  return withSupervisorIfRunning(context, async (client) => {
    const { tunnels } = await snapshotOf(client, context.signal);
    return tunnels.some((tunnel) => tunnel.name === name && tunnel.state !== 'stopped');
  });
}

async function fileAt(file: string): Promise<ProfileFile> {
  try {
    if ((await stat(file)).isFile()) return { name: tunnelName(file), file };
  } catch (thrown) {
    throw new TunnelError('PROFILE_NOT_FOUND', `Cannot find a profile at ${file}`, { cause: thrown });
  }
  throw new TunnelError('PROFILE_NOT_FOUND', `Cannot find a profile at ${file}: it is no file`);
}
