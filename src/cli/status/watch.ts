import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../control/client.ts';
import { PROTOCOL_VERSION } from '../../control/messages.ts';
import { FAILURES, TunnelError, asTunnelError } from '../../model/failure.ts';
import { tunnelName } from '../../model/profile-name.ts';
import type { Context } from '../context.ts';
import { openFeed } from '../feed.ts';
import { statusRows } from './status-rows.ts';
import { withSupervisorIfRunning } from '../supervisor.ts';
import { watchView, type WatchView } from './watch-view.ts';

/** How soon a supervisor that was started meanwhile is seen, and how often ages are drawn anew. */
const TICK_MS = 1_000;
/** Events of one moment, such as the five of a tunnel coming up, are drawn as one. */
const GATHER_MS = 50;

/** A supervisor that hangs says nothing, like one of whose tunnels there is nothing to say: so it is asked. */
const ASK_EVERY_MS = 1_000;
/** It is one turn of its event loop, which a healthy one has many times a second. */
const ANSWERS_WITHIN_MS = 3_000;

const INTERRUPTED = FAILURES.INTERRUPTED.exit;

/**
 * `tunnel status --watch`: on a terminal the table, drawn anew; on a pipe a line per change; under --json the status
 * object, one a line. Goes on while no supervisor runs, and starts none; one that answers nobody is said to, and what it said
 * is no longer shown. Ctrl-C is its only end, and no error: 130.
 */
export async function watchStatus(names: readonly string[], context: Context): Promise<number> {
  const view = watchView(context);
  try {
    for (;;) {
      await look(names, view, context);
      await sleep(TICK_MS, undefined, { signal: context.signal });
    }
  } catch (thrown) {
    if (context.signal.aborted) return INTERRUPTED;
    throw thrown;
  }
}

/** Until the supervisor that runs ends, or answers no more; at once where none runs. */
async function look(names: readonly string[], view: WatchView, context: Context): Promise<void> {
  try {
    await withSupervisorIfRunning(context, async (client) => {
      if (client !== undefined) return follow(client, names, view, context);
      view.draw(null, statusRows(names, [], context));
    });
  } catch (thrown) {
    const error = asTunnelError(thrown);
    if (context.signal.aborted || error.code !== 'SUPERVISOR_UNREACHABLE') throw thrown;
    view.lost(error);
  }
}

/** Until this supervisor ends. */
async function follow(
  client: ControlClient,
  names: readonly string[],
  view: WatchView,
  context: Context,
): Promise<void> {
  const feed = await openFeed(client, context.signal);
  const wanted = new Set(names.map(tunnelName));
  let gathering: NodeJS.Timeout | undefined;
  const draw = (): void => {
    gathering = undefined;
    view.draw(feed.supervisor, statusRows(names, [...feed.tunnels.values()], context));
  };
  draw();
  const ending = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      const redraw = (): void => {
        try {
          draw();
        } catch (thrown) {
          reject(asTunnelError(thrown)); // a named profile is gone
        }
      };
      const ticking = context.out.columns === undefined || context.json ? undefined : setInterval(redraw, TICK_MS);
      const stop = feed.onEvent((event) => {
        if (names.length > 0 && (event.tunnel === null || !wanted.has(event.tunnel))) return;
        view.event(event);
        gathering ??= setTimeout(redraw, GATHER_MS);
      });
      const asking = setInterval(() => void stillAnswers(client, context.version).catch(reject), ASK_EVERY_MS);
      const aborted = (): void => reject(asTunnelError(context.signal.reason));
      context.signal.addEventListener('abort', aborted);
      ending.signal.addEventListener('abort', () => {
        clearInterval(ticking);
        clearInterval(asking);
        clearTimeout(gathering);
        stop();
        context.signal.removeEventListener('abort', aborted);
      });
      void client.closed.then(() => resolve());
    });
  } finally {
    ending.abort(); // at once, not when the line has closed: what is drawn from here on is no longer this supervisor's
  }
}

/** @throws TunnelError SUPERVISOR_UNREACHABLE when no answer comes in time; that the line has closed is told by the line */
async function stillAnswers(client: ControlClient, version: string): Promise<void> {
  const deadline = AbortSignal.timeout(ANSWERS_WITHIN_MS);
  try {
    await client.call('hello', { protocol: PROTOCOL_VERSION, version }, deadline);
  } catch (thrown) {
    if (!deadline.aborted) return; // an answer too, or the end of the line
    const who = `the supervisor (pid ${client.supervisor?.pid ?? 'unknown'})`;
    throw new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot reach ${who}: it does not answer`, {
      cause: thrown,
      hint: 'Run `tunnel daemon restart`.',
    });
  }
}
