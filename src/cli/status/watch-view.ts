import type { TunnelError } from '../../model/failure.ts';
import type { StatusEvent, SupervisorStatus } from '../../model/status.ts';
import type { Context } from '../context.ts';
import { errorJson, errorLines } from '../render/error.ts';
import { eventLine, newsFilter } from '../render/event.ts';
import { statusLines, type StatusRow } from '../render/status.ts';
import { wantedText } from './wanted.ts';

/** What `status --watch` shows, in one of three ways. */
export interface WatchView {
  /** What is now; without a supervisor nothing runs. */
  readonly draw: (supervisor: SupervisorStatus | null, rows: readonly StatusRow[]) => void;
  readonly event: (event: StatusEvent) => void;
  /** What was shown is no longer known to be true. Said once, until something is drawn again. */
  readonly lost: (error: TunnelError) => void;
}

/** On a terminal the table; on a pipe a line per change; under --json the status object, one a line. */
export function watchView(context: Context): WatchView {
  if (context.json) return jsonView(context);
  return context.out.columns === undefined ? lineView(context) : tableView(context);
}

const IGNORE = (): void => undefined;

function nobodyText(context: Context): string {
  return wantedText(context) ?? 'No supervisor runs.';
}

function tableView(context: Context): WatchView {
  const { out, verbose } = context;
  return {
    draw: (supervisor, rows) => {
      const lines = statusLines({ supervisor, rows, nowMs: Date.now(), verbose }, out.theme);
      out.redraw([...lines, ...(supervisor === null ? [nobodyText(context)] : [])].join('\n'));
    },
    event: IGNORE,
    lost: ({ facts }) => out.redraw(errorLines(facts, out.theme).join('\n')),
  };
}

/** A status that is the same as the last line is not said again. */
function jsonView({ out }: Context): WatchView {
  let last = '';
  const say = (value: unknown): void => {
    const text = JSON.stringify(value);
    if (text !== last) out.jsonLine(value);
    last = text;
  };
  let isLost = false;
  return {
    draw: (supervisor, tunnels) => {
      isLost = false;
      say({ version: 1, supervisor, tunnels });
    },
    event: IGNORE,
    lost: ({ facts }) => {
      if (!isLost) say(errorJson(facts));
      isLost = true;
    },
  };
}

/** A line per change that a person would see: first what is, and with each next supervisor what differs by then. */
function lineView(context: Context): WatchView {
  const { out } = context;
  let isNews = newsFilter();
  let shown = new Set<string>();
  let from: Source = 'begin';
  const print = (event: StatusEvent): void => {
    if (event.event === 'tunnel') shown.add(event.tunnel);
    else if (event.event === 'removed') shown.delete(event.tunnel);
    if (isNews(event)) out.data(eventLine(event, out.theme));
  };
  /** Nothing that was said before holds any more. */
  const forget = (message: string): void => {
    print({ event: 'note', at: now(), tunnel: null, level: 'warn', message });
    isNews = newsFilter();
    shown = new Set();
  };
  return {
    draw: (supervisor, rows) => {
      const next = supervisor?.pid ?? 'nobody';
      if (next === from) return; // events tell the rest
      const afresh = from === 'begin' || from === 'lost' || next === 'nobody';
      if (next === 'nobody' && from !== 'begin') forget(nobodyText(context));
      from = next;
      const running = new Set(rows.flatMap(({ name, since }) => (since === null ? [] : [name])));
      for (const tunnel of shown) if (!running.has(tunnel)) print({ event: 'removed', at: now(), tunnel });
      for (const row of rows) {
        const { since, name: tunnel } = row;
        if (since !== null) print({ event: 'tunnel', at: since, tunnel, status: { ...row, since } });
        else if (afresh) out.data(`${tunnel}  stopped`);
      }
    },
    event: (event) => {
      if (event.event !== 'connection') print(event);
    },
    lost: ({ message, hint }) => {
      if (from !== 'lost') forget(`${message}. ${hint}`);
      from = 'lost';
    },
  };
}

/** Whose word was shown last: that of the supervisor with this pid, or of none. */
type Source = number | 'begin' | 'nobody' | 'lost';

function now(): string {
  return new Date().toISOString();
}
