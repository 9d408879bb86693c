import { cleanLine } from '../../model/clean.ts';
import { exposureText } from '../../model/exposure.ts';
import type {
  ConnectionStatus,
  ErrorStatus,
  ForwardStatus,
  LinkStatus,
  SupervisorStatus,
  TunnelStatus,
} from '../../model/status.ts';
import type { Theme } from '../theme.ts';
import { bytesText } from './bytes.ts';
import { ageText, spanText } from './duration.ts';
import { hintLines } from './error.ts';
import { mapFails, mapLines } from './mapping.ts';
import { routeText, statePaint } from './state.ts';
import { tableLines, type Cell } from './table.ts';

/** A row of `status`: a tunnel as the supervisor tells it, or a stopped profile, of which nobody knows since when. */
export type StatusRow = Omit<TunnelStatus, 'since'> & { readonly since: string | null };

export interface StatusView {
  readonly supervisor: SupervisorStatus | null;
  readonly rows: readonly StatusRow[];
  readonly nowMs: number;
  readonly verbose: boolean;
}

/** The row of a profile that does not run. */
export function stoppedRow(name: string): StatusRow {
  const unknown = { since: null, via: null, latencyMs: null, lastError: null, nextRetryAt: null };
  return { name, state: 'stopped', reconnects: 0, forwards: [], ...unknown };
}

/** The table of `tunnel status`; beneath a row, what is wrong with it and what to do. */
export function statusLines(view: StatusView, theme: Theme): string[] {
  const { supervisor, rows, verbose } = view;
  const head = verbose && supervisor !== null ? [supervisorLine(supervisor, view.nowMs)] : [];
  if (rows.length === 0) return [...head, 'No tunnel is running.'];
  const titles = ['NAME', 'STATE', 'FOR', 'FORWARD', 'OPEN', ...(verbose ? ['TOTAL', 'RECEIVED', 'SENT'] : [])];
  return [
    ...head,
    ...tableLines([
      titles.map((text) => ({ text, paint: theme.dim })),
      ...rows.flatMap((row) => tunnelRows(row, view, theme)),
    ]),
  ];
}

export function supervisorLine({ pid, startedAt, version }: SupervisorStatus, nowMs: number): string {
  return `supervisor ${cleanLine(version)}, pid ${pid}, up ${ageText(startedAt, nowMs)}`;
}

function tunnelRows(row: StatusRow, { nowMs, verbose }: StatusView, theme: Theme): (readonly Cell[] | string)[] {
  const [first, ...others] = row.forwards.map((forward) => forwardCells(row, forward, { nowMs, verbose }, theme));
  const failing = row.forwards.some(({ health }) => health === 'failing');
  const unmapped = row.forwards.some(mapFails);
  const silent = row.silentSince !== undefined;
  const troubles = [silent ? 'silent' : '', failing ? 'failing' : '', unmapped ? 'not mapped' : ''].filter(Boolean);
  const state: Cell =
    troubles.length > 0
      ? { text: [row.state, ...troubles].join(', '), paint: theme.bad }
      : { text: row.state, paint: statePaint(row.state, theme) };
  const since = row.since === null ? '' : ageText(row.since, nowMs);
  const lead: Cell[] = [
    { text: cleanLine(row.name), paint: theme.strong },
    { text: state.text, ...paintOf(state) },
  ];
  return [
    [...lead, { text: since }, ...(first ?? [])],
    ...others.map((cells) => [{ text: '' }, { text: '' }, { text: '' }, ...cells]),
    ...leavingLines(row),
    ...silenceLines(row, nowMs, theme),
    ...(verbose ? factLines(row, theme) : []),
    ...doorLines(row, theme),
    ...(row.link?.warnings ?? []).map((warning) => theme.warn(`  ${cleanLine(warning)}`)),
    ...row.forwards.flatMap((forward) => mapLines(forward, theme)),
    ...troubleLines(row, nowMs, theme),
  ];
}

function paintOf({ paint }: Cell): Pick<Cell, 'paint'> {
  return paint === undefined ? {} : { paint };
}

/** A forward says of what kind it is where it is not local, and how it is where it is worse or better off than its tunnel. */
function forwardCells(
  row: StatusRow,
  forward: ForwardStatus,
  { nowMs, verbose }: Pick<StatusView, 'nowMs' | 'verbose'>,
  theme: Theme,
): Cell[] {
  const { state } = forward;
  const apart = state === 'failed' || state === 'idle' || (state === 'up' && row.state !== 'stopping');
  const differs = state !== row.state && apart;
  const countdown = countdownText(forward, nowMs);
  const remarks = [...(forward.kind === 'local' ? [] : [forward.kind]), ...(differs ? [state] : countdown)];
  const text = `${routeText(forward)}${remarks.length === 0 ? '' : ` (${remarks.join(', ')})`}`;
  const route: Cell = differs ? { text, paint: statePaint(state, theme) } : { text };
  const { openConnections, totalConnections, receivedBytes, sentBytes } = forward;
  const traffic = [String(totalConnections), bytesText(receivedBytes), bytesText(sentBytes)];
  return [route, ...[String(openConnections), ...(verbose ? traffic : [])].map((text) => ({ text }))];
}

/** What counts in no forward's OPEN any more, and keeps the link all the same. */
function leavingLines({ leavingConnections = 0 }: StatusRow): string[] {
  if (leavingConnections === 0) return [];
  const open = `${leavingConnections} open ${leavingConnections === 1 ? 'connection' : 'connections'}`;
  return [`  ${open} of forwards that a reload took away or changed`];
}

/** The link may be gone, and counts as up until its keepalive has given it up. */
function silenceLines({ silentSince, via }: StatusRow, nowMs: number, theme: Theme): string[] {
  if (silentSince === undefined) return [];
  return [theme.warn(`  nothing has come from ${cleanLine(via ?? 'the server')} for ${ageText(silentSince, nowMs)}`)];
}

/** When a forward that nobody uses closes by itself. */
function countdownText({ idleClosesAt }: ForwardStatus, nowMs: number): readonly string[] {
  if (idleClosesAt === undefined || idleClosesAt === null) return [];
  const leftMs = Math.ceil((Date.parse(idleClosesAt) - nowMs) / 1_000) * 1_000;
  return [`closes in ${spanText(Math.max(1_000, leftMs))}`];
}

function factLines(
  { via, latencyMs, silentSince, reconnects, link, connections = [] }: StatusRow,
  theme: Theme,
): string[] {
  const facts = [
    ...(via === null ? [] : [`via ${cleanLine(via)}`]),
    ...(latencyMs === null || silentSince !== undefined ? [] : [`answers within ${spanText(latencyMs)}`]),
    ...(reconnects === 0 ? [] : [`reconnected ${reconnects} ${reconnects === 1 ? 'time' : 'times'}`]),
  ];
  const several = connections.length === 0 ? [] : [connectionsText(connections)];
  const lines = [
    ...(facts.length === 0 ? [] : [facts.join(', ')]),
    ...several,
    ...(link === undefined ? [] : linkLines(link)),
  ];
  return lines.map((line) => theme.dim(`  ${line}`));
}

/** `2 SSH connections: 12 channels, 1ms; 9 channels, 2ms`. */
function connectionsText(connections: readonly ConnectionStatus[]): string {
  const each = connections.map(({ channels, latencyMs }) => {
    return `${channels} ${channels === 1 ? 'channel' : 'channels'}${latencyMs === null ? '' : `, ${spanText(latencyMs)}`}`;
  });
  return `${connections.length} SSH connections: ${each.join('; ')}`;
}

/** What was negotiated, in the order in which SSH does. */
function linkLines({ server, kex, hostKey, cipher, mac, compression, notes }: LinkStatus): string[] {
  const named = [
    ...[`key exchange ${kex}`, `host key ${hostKey}`, `cipher ${cipher}`],
    ...(mac === 'implicit' ? [] : [`MAC ${mac}`]),
    ...(compression === 'none' ? [] : [`compression ${compression}`]),
  ];
  return [
    `${cleanLine(server)}: ${named.map((one) => cleanLine(one)).join(', ')}`,
    ...notes.map((one) => cleanLine(one)),
  ];
}

/** Who can reach a forward from other machines, where anybody can. */
function doorLines({ forwards }: StatusRow, theme: Theme): string[] {
  return forwards.flatMap(({ bind, gateway, returnPorts = [] }) => {
    const doors = [...(gateway === undefined ? [] : [{ bind, gateway }]), ...returnPorts];
    return doors.map((door) => theme.warn(`  ${cleanLine(door.bind)} is ${cleanLine(exposureText(door.gateway))}`));
  });
}

/** The tunnel's own trouble first, then that of each forward that is in trouble by itself. */
function troubleLines(row: StatusRow, nowMs: number, theme: Theme): string[] {
  // The last line names the tunnel to answer for; the general hint would say nearly the same twice.
  const answerable = row.state === 'waiting' && row.lastError?.code === 'NEEDS_PERSON';
  const fault = row.lastError === null || !answerable ? row.lastError : { ...row.lastError, hint: '' };
  const own = fault === null ? [] : faultLines(fault, retryText(row, nowMs), theme);
  const renewal =
    row.renewalError === undefined
      ? []
      : faultLines(
          { ...row.renewalError, message: `the old connection stays in use: ${row.renewalError.message}` },
          '',
          theme,
        );
  const forwards = row.forwards.flatMap(({ name, health, healthError = UNEXPLAINED, lastError }) => {
    const troubles = [
      ...(lastError === null || lastError.message === row.lastError?.message ? [] : [lastError]),
      ...(health === 'failing' ? [healthError] : []),
    ];
    return troubles.flatMap(({ message, hint }) => faultLines({ message: `${name}: ${message}`, hint }, '', theme));
  });
  const waiting = row.state === 'waiting' ? [`    Answer with \`tunnel answer ${cleanLine(row.name)}\`.`] : [];
  return [...own, ...renewal, ...forwards, ...waiting];
}

/** A supervisor of an earlier version does not say what its probe met with. */
const UNEXPLAINED = { message: 'the health probe fails', hint: '' };

function faultLines({ message, hint }: Pick<ErrorStatus, 'message' | 'hint'>, after: string, theme: Theme): string[] {
  return [`${theme.bad(`  ${cleanLine(message)}`)}${after}`, ...hintLines(hint, '    ')];
}

function retryText({ nextRetryAt }: StatusRow, nowMs: number): string {
  if (nextRetryAt === null) return '';
  const leftMs = Date.parse(nextRetryAt) - nowMs;
  return leftMs > 0 ? `; next try in ${spanText(Math.ceil(leftMs / 1_000) * 1_000)}` : '; trying again now';
}
