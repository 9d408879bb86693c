import type { ControlClient } from '../../control/client.ts';
import { TunnelError } from '../../model/failure.ts';
import { bringUp, reportBroughtUp } from '../up/bring-up.ts';
import { NoteTeller } from '../up/note-teller.ts';
import { tunnelName } from '../../model/profile-name.ts';
import { noSuchProfile, profileNames } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { relayQuestions } from '../relay.ts';
import { profileExists } from '../status/stopped.ts';
import { callerOf, withSupervisorIfRunning } from '../supervisor.ts';

/** As long as `up` waits: after the answers the tunnels still have to come up. */
const WAIT_MS = 30_000;

/** `tunnel answer`: asks here what tunnels are waiting for, then waits until they are up. */
export async function run(args: readonly string[], _options: Options, context: Context): Promise<number> {
  const [argument] = args;
  if (!context.interactive) {
    throw new TunnelError('NEEDS_PERSON', 'Cannot ask anybody: this is no terminal', { hint: 'Run it on a terminal.' });
  }
  if (argument !== undefined && !profileExists(argument, context)) {
    const known = profileNames(context.paths, context.cwd);
    if (!known.includes(tunnelName(argument))) await mustRun(argument, known, context);
  }
  return withSupervisorIfRunning(context, async (client) => {
    const code = client === undefined ? undefined : await answer(client, argument, context);
    if (code === undefined && context.json) context.out.json({ version: 1, tunnels: [] });
    else if (code === undefined) context.out.say('No tunnel waits for an answer.');
    return code ?? 0;
  });
}

/** @returns undefined where nothing waits */
async function answer(
  client: ControlClient,
  argument: string | undefined,
  context: Context,
): Promise<number | undefined> {
  const relay = relayQuestions(client, context);
  const notes = new NoteTeller(client, relay, context);
  try {
    const names = argument === undefined ? null : [tunnelName(argument)];
    const { waiting } = await client.call('attend', { names, caller: callerOf(context) }, context.signal);
    if (waiting.length === 0) return undefined;
    notes.begin(waiting.map((name) => ({ name })));
    return reportBroughtUp(await bringUp({ client, order: waiting, waitMs: WAIT_MS, relay, notes }, context), context);
  } finally {
    relay.close();
  }
}

/** A tunnel may run though its file is gone by now. */
async function mustRun(argument: string, known: readonly string[], context: Context): Promise<void> {
  await withSupervisorIfRunning(context, async (client) => {
    const status = await client?.call('status', {}, context.signal);
    const running = status?.tunnels.map(({ name }) => name) ?? [];
    if (!running.includes(tunnelName(argument))) throw noSuchProfile(argument, [...known, ...running]);
  });
}
