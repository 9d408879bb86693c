import { cleanLine } from '../../model/clean.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { selection } from '../profiles/selection.ts';
import { sayWarnings } from '../up/say-warnings.ts';
import { existing } from '../status/stopped.ts';
import { callerOf, mentionWaiting, snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

/** `tunnel reload`: profiles read again; without a name those of all running tunnels. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const chosen = selection(args, options);
  const { out, json, signal } = context;
  const tunnels = await withSupervisorIfRunning(context, async (client) => {
    if (client === undefined) {
      if (chosen !== undefined) await existing(chosen, context);
      return [];
    }
    const select = chosen ?? { all: true };
    const result = await client.call('reload', { select, caller: callerOf(context) }, signal);
    mentionWaiting((await snapshotOf(client, signal)).tunnels, context);
    return result.tunnels;
  });
  sayWarnings(tunnels, context);
  if (json) out.json({ version: 1, tunnels: tunnels.map(({ name, reloaded }) => ({ name, reloaded })) });
  else if (tunnels.length === 0) out.say('Nothing to reload: none of them runs.');
  for (const { name, reloaded } of json ? [] : tunnels) {
    out.data(`${cleanLine(name)}  ${reloaded ? 'reloaded' : 'unchanged'}`);
  }
  return 0;
}
