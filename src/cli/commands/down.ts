import { cleanLine } from '../../model/clean.ts';
import type { Selection } from '../../model/request.ts';
import { isPath, noSuchProfile, profileNames, readCatalog, tunnelName } from '../catalog.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { requiredSelection } from '../selection.ts';
import { callerOf, mentionWaiting, snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

/** How long open connections may go on where `--drain` does not say. */
const DRAIN_MS = 10_000;

/** `tunnel down`: drains and stops. What is down already is no error; a name that nobody knows is. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const select = requiredSelection('down', args, options);
  const drainMs = options.durationMs('drain', DRAIN_MS);
  const { out, json, signal } = context;
  const stopped = await withSupervisorIfRunning(context, async (client) => {
    if (client === undefined) return nothingRuns(select, context);
    const { tunnels } = await client.call('down', { select, drainMs, caller: callerOf(context) }, signal);
    mentionWaiting((await snapshotOf(client, signal)).tunnels, context);
    return tunnels;
  });
  if (json) out.json({ version: 1, tunnels: stopped });
  else if (stopped.length === 0) out.say('Nothing to stop.');
  for (const name of json ? [] : stopped) out.data(`${cleanLine(name)}  stopped`);
  return 0;
}

/** Without a supervisor everything is down; names are still looked at, since a mistyped one must not pass for stopped. */
async function nothingRuns(select: Selection, { paths, cwd }: Context): Promise<readonly string[]> {
  if ('tag' in select) {
    const profiles = await readCatalog(paths, cwd);
    return profiles.filter(({ tags }) => tags.includes(select.tag)).map(({ name }) => name);
  }
  if ('all' in select) return [];
  const known = await profileNames(paths, cwd);
  const unknown = select.names.find((name) => !isPath(name) && !known.includes(name));
  if (unknown !== undefined) throw noSuchProfile(unknown, known);
  return select.names.map(tunnelName);
}
