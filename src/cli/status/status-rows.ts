import type { TunnelStatus } from '../../model/status.ts';
import { tunnelName } from '../../model/profile-name.ts';
import { noSuchProfile, profileNames } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';
import { stoppedRow, type StatusRow } from '../render/status.ts';
import { profileExists } from './stopped.ts';

/** Every running tunnel; or the named ones in the order named, a stopped profile as a row of its own. @throws PROFILE_NOT_FOUND */
export function statusRows(
  names: readonly string[],
  tunnels: readonly TunnelStatus[],
  context: Context,
): readonly StatusRow[] {
  if (names.length === 0) return tunnels;
  const running = new Map(tunnels.map((tunnel) => [tunnel.name, tunnel]));
  return [...new Set(names)].map(
    (argument) => running.get(tunnelName(argument)) ?? stopped(argument, [...running.keys()], context),
  );
}

function stopped(argument: string, running: readonly string[], context: Context): StatusRow {
  const name = tunnelName(argument);
  if (profileExists(argument, context)) return stoppedRow(name);
  throw noSuchProfile(argument, [...running, ...profileNames(context.paths, context.cwd)]);
}
