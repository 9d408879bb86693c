import type { ControlClient } from '../../control/client.ts';
import { TunnelError, asTunnelError } from '../../model/failure.ts';
import { tunnelName } from '../../model/profile-name.ts';
import { noSuchProfile, profileNames } from '../profiles/catalog.ts';
import type { Context } from '../context.ts';
import { openFeed } from '../feed.ts';
import type { Options } from '../options.ts';
import { changeText } from '../render/event.ts';
import { spanText } from '../render/duration.ts';
import { PLAIN } from '../theme.ts';
import { profileExists } from '../status/stopped.ts';
import { mentionWaiting, withSupervisorIfRunning } from '../supervisor.ts';
import { notRunning, waitVerdict, type WaitFor } from '../status/wait-verdict.ts';

const TIMEOUT_MS = 30_000;

/** `tunnel wait`: for scripts. 0 when the state is reached, 7 when time ran out, 3 for what does not run. */
export async function run(args: readonly string[], options: Options, context: Context): Promise<number> {
  const [argument = ''] = args;
  const goal: WaitFor = { state: goalState(options), healthy: options.flag('healthy') };
  const timeoutMs = options.durationMs('timeout', TIMEOUT_MS);
  const name = tunnelName(argument);
  await withSupervisorIfRunning(context, async (client) => {
    const reached =
      client === undefined ? waitVerdict(name, undefined, goal) : await waitOn(client, name, goal, timeoutMs, context);
    if (reached instanceof TunnelError) throw asUnknown(reached, argument, context);
    // Down already is what was asked for, but not of a name that nobody knows.
    if (goal.state === 'down' && client === undefined) mustExist(argument, context);
  });
  if (context.json) context.out.json({ version: 1, name, state: goal.state, healthy: goal.healthy });
  return 0;
}

function goalState(options: Options): WaitFor['state'] {
  const state = options.text('state') ?? 'up';
  if (state === 'up' || (state === 'down' && !options.flag('healthy'))) return state;
  throw new TunnelError('USAGE', `Cannot wait for ${state}: --state is up or down, and --healthy goes with up`);
}

async function waitOn(
  client: ControlClient,
  name: string,
  goal: WaitFor,
  timeoutMs: number,
  context: Context,
): Promise<true | TunnelError> {
  const feed = await openFeed(client, context.signal);
  mentionWaiting([...feed.tunnels.values()], context);
  return new Promise((resolve) => {
    const late = (): void => end(timedOut());
    const timer = setTimeout(late, timeoutMs);
    const interrupted = (): void => end(asTunnelError(context.signal.reason));
    const end = (verdict: true | TunnelError): void => {
      clearTimeout(timer);
      stop();
      context.signal.removeEventListener('abort', interrupted);
      resolve(verdict);
    };
    const timedOut = (): TunnelError => {
      const tunnel = feed.tunnels.get(name);
      const now = tunnel === undefined ? 'stopped' : changeText(tunnel, PLAIN);
      const what = goal.healthy ? 'healthy' : goal.state;
      return new TunnelError('TIMED_OUT', `Cannot see ${name} ${what} within ${spanText(timeoutMs)}: it is ${now}`);
    };
    const look = (): void => {
      const verdict = waitVerdict(name, feed.tunnels.get(name), goal);
      if (verdict !== false) end(verdict);
    };
    const stop = feed.onEvent(look);
    context.signal.addEventListener('abort', interrupted);
    void client.closed.then((why) => end(goal.state === 'down' ? true : (why ?? notRunning(name))));
    look();
  });
}

function mustExist(argument: string, context: Context): void {
  if (profileExists(argument, context)) return;
  throw noSuchProfile(argument, profileNames(context.paths, context.cwd));
}

/** What does not run because nobody knows it gets the name that was probably meant. */
function asUnknown(error: TunnelError, argument: string, context: Context): TunnelError {
  if (error.code !== 'NOT_RUNNING') return error;
  try {
    mustExist(argument, context);
    return error;
  } catch (unknown) {
    return asTunnelError(unknown);
  }
}
