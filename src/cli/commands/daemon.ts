import { connectOrSpawn } from '../../daemon/spawn.ts';
import { replaceSupervisor } from '../../daemon/replace.ts';
import { stopSupervisor } from '../../daemon/stop.ts';
import { TunnelError } from '../../model/failure.ts';
import { didYouMean } from '../../model/nearest.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { supervisorLine } from '../render/status.ts';
import { snapshotOf, withSupervisorIfRunning } from '../supervisor.ts';

const ACTIONS = ['status', 'stop', 'restart', 'run'] as const;
/** What a supervisor says to the one that it starts in its place: no word for people. */
const INHERIT = 'inherit';
/** It was asked before, for longer: one that did not answer then hangs, and waits for its signal. */
const ASKED_AGAIN_MS = 1_000;

/** `tunnel daemon`: the supervisor itself. */
export async function run(args: readonly string[], _options: Options, context: Context): Promise<number> {
  const [word = ''] = args;
  if (word === INHERIT) {
    const { inheritSupervisor } = await import('../up/background.ts');
    return inheritSupervisor(context);
  }
  const action = ACTIONS.find((name) => name === word);
  switch (action) {
    case 'status':
      return status(context);
    case 'stop':
      return stop(context);
    case 'restart':
      return restart(context);
    case 'run': {
      const { runSupervisor } = await import('../up/background.ts');
      return runSupervisor(context);
    }
    case undefined:
      throw new TunnelError('USAGE', `Cannot do ${word} with the daemon${didYouMean(word, ACTIONS)}`, {
        hint: `It is one of: ${ACTIONS.join(', ')}.`,
      });
  }
}

/** 0 where one runs and answers, 3 where none does: a script asks this way. */
async function status(context: Context): Promise<number> {
  const { out, json, signal } = context;
  const { supervisor } = await withSupervisorIfRunning(context, (client) => snapshotOf(client, signal));
  if (json) out.json({ version: 1, supervisor });
  else out.data(supervisor === null ? 'no supervisor is running' : supervisorLine(supervisor, Date.now()));
  return supervisor === null ? 3 : 0;
}

async function stop({ paths, version, out, json }: Context): Promise<number> {
  const pid = await stopSupervisor(paths, version);
  if (json) out.json({ version: 1, stopped: pid ?? null });
  else out.say(pid === undefined ? 'No supervisor is running.' : `Stopped (pid ${pid}); what was wanted is kept.`);
  return 0;
}

/** The next supervisor gets the listening sockets of the one that runs. Where that cannot be, stops the one and starts another. */
async function restart(context: Context): Promise<number> {
  const { paths, version, out, json } = context;
  const handed = await replaceSupervisor(paths, version);
  if (handed === undefined) await stopSupervisor(paths, version, { answersWithinMs: ASKED_AGAIN_MS });
  const { client } = await connectOrSpawn(paths, version);
  const { supervisor } = client;
  await client.call('status', {}); // answered once it has read all its files: an update may replace them then
  client.close();
  const how = handed === undefined ? '' : '; no client was refused, and open connections go on';
  if (json) out.json({ version: 1, supervisor });
  else out.say(`Restarted${supervisor === undefined ? '' : ` (pid ${supervisor.pid})`}${how}.`);
  return 0;
}
