import type { ControlClient } from '../../control/client.ts';
import type { Selection } from '../../model/request.ts';
import { bringUp, reportBroughtUp } from '../up/bring-up.ts';
import { NoteTeller } from '../up/note-teller.ts';
import { sayWarnings } from '../up/say-warnings.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { relayQuestions } from '../relay.ts';
import { requiredSelection } from '../profiles/selection.ts';
import { callerOf, withSupervisor } from '../supervisor.ts';
import { waitOption } from './up.ts';

/** `tunnel restart`: a fresh SSH connection for running tunnels; open connections survive where they can. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const select = requiredSelection('restart', args, options);
  const waitMs = waitOption(options);
  return withSupervisor(context, (client) => restart(client, select, waitMs, context));
}

/** Ctrl-C withdraws nothing here: what is restarted was running before. */
async function restart(
  client: ControlClient,
  select: Selection,
  waitMs: number | null,
  context: Context,
): Promise<number> {
  const attend = context.interactive && waitMs !== null;
  const relay = attend ? relayQuestions(client, context) : undefined;
  const notes = relay === undefined ? undefined : new NoteTeller(client, relay, context);
  try {
    const { tunnels } = await client.call('restart', { select, caller: callerOf(context), attend }, context.signal);
    sayWarnings(tunnels, context);
    notes?.begin(tunnels);
    const order = tunnels.map(({ name }) => name);
    return reportBroughtUp(await bringUp({ client, order, waitMs, relay, notes }, context), context);
  } finally {
    relay?.close();
  }
}
