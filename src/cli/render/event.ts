import { cleanLine } from '../../model/clean.ts';
import type { StatusEvent, TunnelStatus } from '../../model/status.ts';
import { PLAIN, type Theme } from '../theme.ts';
import { bytesText } from './bytes.ts';
import { spanText } from './duration.ts';
import { mapFails } from './mapping.ts';
import { statePaint } from './state.ts';

/** One event as one line: local time, tunnel, what happened. */
export function eventLine(event: StatusEvent, theme: Theme): string {
  const who = event.tunnel === null ? 'supervisor' : cleanLine(event.tunnel);
  return `${theme.dim(timeText(event.at))}  ${who}  ${eventText(event, theme)}`;
}

function eventText(event: StatusEvent, theme: Theme): string {
  switch (event.event) {
    case 'tunnel':
      return changeText(event.status, theme);
    case 'removed':
      return theme.dim('stopped');
    case 'connection':
      return connectionText(event, theme);
    case 'note': {
      const paint = { info: (text: string) => text, warn: theme.warn, error: theme.bad }[event.level];
      return `${paint(cleanLine(event.message))}${timesText(event.repeated)}`;
    }
  }
}

/** What a tunnel is now, with the reason where it is in trouble. */
export function changeText({ state, lastError, forwards }: TunnelStatus, theme: Theme): string {
  const failing = forwards.some(({ health }) => health === 'failing') ? theme.bad(', health failing') : '';
  const unmapped = forwards.some(mapFails) ? theme.bad(', not mapped') : '';
  const troubles = [
    lastError,
    ...forwards.map((forward) => forward.lastError ?? forward.healthError ?? forward.map?.lastError ?? null),
  ].flatMap((error) => error?.message ?? []);
  const reason = troubles.length === 0 ? '' : `: ${cleanLine([...new Set(troubles)].join('; '), 2_000)}`;
  return `${statePaint(state, theme)(state)}${failing}${unmapped}${reason}`;
}

type ConnectionEvent = Extract<StatusEvent, { event: 'connection' }>;

/** One finished connection: who, where to, how much each way, how long, and how it ended where not by itself. */
export function connectionText(event: ConnectionEvent, theme: Theme): string {
  const { forward, client, target, durationMs, receivedBytes, sentBytes, end, reason } = event;
  const route = `${cleanLine(forward)}: ${cleanLine(client)} -> ${cleanLine(target)}`;
  const amount = `${bytesText(receivedBytes)} received, ${bytesText(sentBytes)} sent, ${spanText(durationMs)}`;
  const ending = end === 'done' ? '' : `, ${theme.warn(cleanLine(reason ?? end))}`;
  return `${route}  ${amount}${ending}${timesText(event.repeated)}`;
}

function timesText(repeated: number | undefined): string {
  return repeated === undefined || repeated < 2 ? '' : ` (${repeated} times)`;
}

/** Local time to the second: `2026-08-14 10:12:03`; the text itself where it is no time. */
export function timeText(at: string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return cleanLine(at);
  const two = (number: number): string => String(number).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/**
 * Tells of each event whether its line says anything new: a status whose figures alone have changed reads as the one
 * before it. Connections and notes are always news. One filter for each list of lines.
 */
export function newsFilter(): (event: StatusEvent) => boolean {
  const last = new Map<string, string>();
  return (event) => {
    if (event.event === 'connection' || event.event === 'note') return true;
    const text = eventText(event, PLAIN);
    const same = last.get(event.tunnel) === text;
    last.set(event.tunnel, text);
    return !same;
  };
}
