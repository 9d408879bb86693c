import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../control/client.ts';
import { FAILURES, asTunnelError } from '../../model/failure.ts';
import type { StatusEvent, SupervisorStatus } from '../../model/status.ts';
import { tunnelName } from '../../model/profile-name.ts';
import type { Context } from '../context.ts';
import { openFeed } from '../feed.ts';
import { eventLine, newsFilter } from '../render/event.ts';
import { statusLines, type StatusRow } from '../render/status.ts';
import { statusRows } from './status-rows.ts';
import { withSupervisorIfRunning } from '../supervisor.ts';

/** How soon a supervisor that was started meanwhile is seen, and how often ages are drawn anew. */
const TICK_MS = 1_000;
/** Events of one moment, such as the five of a tunnel coming up, are drawn as one. */
const GATHER_MS = 50;

const INTERRUPTED = FAILURES.INTERRUPTED.exit;

/** What is shown, in one of three ways. */
interface View {
  readonly draw: (supervisor: SupervisorStatus | null, rows: readonly StatusRow[]) => void;
  readonly event: (event: StatusEvent) => void;
}

/**
 * `tunnel status --watch`: on a terminal the table, drawn anew; on a pipe a line per change; under --json the status
 * object, one a line. Goes on while no supervisor runs, and starts none. Ctrl-C is its only
 * end, and no error: 130.
 */
export async function watchStatus(names: readonly string[], context: Context): Promise<number> {
  const view = context.json
    ? jsonView(context)
    : context.out.columns === undefined
      ? lineView(names, context)
      : tableView(context);
  try {
    for (;;) {
      await withSupervisorIfRunning(context, async (client) => {
        if (client !== undefined) return follow(client, names, view, context);
        view.draw(null, statusRows(names, [], context));
      });
      await sleep(TICK_MS, undefined, { signal: context.signal });
    }
  } catch (thrown) {
    if (context.signal.aborted) return INTERRUPTED;
    throw thrown;
  }
}

/** Until this supervisor ends. */
async function follow(client: ControlClient, names: readonly string[], view: View, context: Context): Promise<void> {
  const feed = await openFeed(client, context.signal);
  const wanted = new Set(names.map(tunnelName));
  let gathering: NodeJS.Timeout | undefined;
  const draw = (): void => {
    gathering = undefined;
    view.draw(feed.supervisor, statusRows(names, [...feed.tunnels.values()], context));
  };
  draw();
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
    const aborted = (): void => reject(asTunnelError(context.signal.reason));
    context.signal.addEventListener('abort', aborted);
    void client.closed.then(() => {
      clearInterval(ticking);
      clearTimeout(gathering);
      stop();
      context.signal.removeEventListener('abort', aborted);
      resolve();
    });
  });
}

const IGNORE = (): void => undefined;

function tableView({ out, verbose }: Context): View {
  return {
    draw: (supervisor, rows) =>
      out.redraw(statusLines({ supervisor, rows, nowMs: Date.now(), verbose }, out.theme).join('\n')),
    event: IGNORE,
  };
}

/** A status that is the same as the last line is not said again. */
function jsonView({ out }: Context): View {
  let last = '';
  return {
    draw: (supervisor, rows) => {
      const status = { version: 1, supervisor, tunnels: rows };
      const text = JSON.stringify(status);
      if (text !== last) out.jsonLine(status);
      last = text;
    },
    event: IGNORE,
  };
}

/** First what is, once; then a line per change that a person would see. */
function lineView(names: readonly string[], { out }: Context): View {
  let begun = false;
  const isNews = newsFilter();
  const print = (event: StatusEvent): void => {
    if (isNews(event)) out.data(eventLine(event, out.theme));
  };
  return {
    draw: (supervisor, rows) => {
      if (begun) return;
      begun = supervisor !== null || names.length > 0;
      for (const row of rows) {
        const { since, name: tunnel } = row;
        if (since === null) out.data(`${tunnel}  stopped`);
        else print({ event: 'tunnel', at: since, tunnel, status: { ...row, since } });
      }
    },
    event: (event) => {
      if (event.event !== 'connection') print(event);
    },
  };
}
