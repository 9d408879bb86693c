import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { statusLines } from '../render/status.ts';
import { statusRows } from '../status/status-rows.ts';
import { mentionWanted } from '../status/wanted.ts';
import { mentionWaiting, snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

/** `tunnel status`: what runs and how it is. Never starts a supervisor. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  if (options.flag('watch')) {
    const { watchStatus } = await import('../status/watch.ts');
    return watchStatus(args, context);
  }
  const { out, json, verbose, signal } = context;
  const { supervisor, tunnels } = await withSupervisorIfRunning(context, (client) => snapshotOf(client, signal));
  const rows = statusRows(args, tunnels, context);
  if (json) out.json({ version: 1, supervisor, tunnels: rows });
  else for (const line of statusLines({ supervisor, rows, nowMs: Date.now(), verbose }, out.theme)) out.data(line);
  if (supervisor === null) mentionWanted(context);
  mentionWaiting(rows, context);
  return 0;
}
