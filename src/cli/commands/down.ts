import { cleanLine } from '../../model/clean.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { requiredSelection } from '../profiles/selection.ts';
import { existing } from '../status/stopped.ts';
import { callerOf, mentionWaiting, snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

/** How long open connections may go on where `--drain` does not say. */
const DRAIN_MS = 10_000;

/** `tunnel down`: drains and stops. What is down already is no error; a name that nobody knows is. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const select = requiredSelection('down', args, options);
  const drainMs = options.durationMs('drain', DRAIN_MS);
  const { out, json, signal } = context;
  const stopped = await withSupervisorIfRunning(context, async (client) => {
    if (client === undefined) return existing(select, context); // down already; a mistyped name must not pass for that
    const { tunnels } = await client.call('down', { select, drainMs, caller: callerOf(context) }, signal);
    mentionWaiting((await snapshotOf(client, signal)).tunnels, context);
    return tunnels;
  });
  if (json) out.json({ version: 1, tunnels: stopped });
  else if (stopped.length === 0) out.say('Nothing to stop.');
  for (const name of json ? [] : stopped) out.data(`${cleanLine(name)}  stopped`);
  return 0;
}
