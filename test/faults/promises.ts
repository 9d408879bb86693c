import type { ConnectionRecord } from '../../src/model/status.ts';
import { DETECTION_MS } from './laboratory.ts';
import type { ProcessFacts } from './process-facts.ts';
import type { Visit } from './traffic.ts';
import type { Probe, Sample } from './watcher.ts';

/** Nobody waits longer, from connect to close (reliability: a held client has 15 s, then comes the transfer). */
export const LONGEST_VISIT_MS = 20_000;
/** After the last fault is mended everything works within this. */
export const CALM_MS = 10_000;
/** A process that slept, or a machine that is busy, sees a loss later by so much. */
const LATE_MS = 1_500;
/** After a sleep: 4 s for a sign of life (product, section 4), and its own slack. */
const AWAKE_MS = 5_000;
/** A probe that finds nothing for so long while status says `up` was lied to: the channel's 5 s, and the detection. */
const LONGEST_LIE_MS = 5_000 + DETECTION_MS + LATE_MS;
/** Connections without a login in 30 s (decision 7), and two whose login may just be under way at the window's ends. */
const MOST_UNPROVEN = 6 + 2;

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** All that one run of faults showed. */
export interface Facts {
  readonly visits: readonly Visit[];
  /** What the tunnel's log says of each connection. */
  readonly records: readonly ConnectionRecord[];
  readonly samples: readonly Sample[];
  readonly probes: readonly Probe[];
  readonly stolenAtMs: readonly number[];
  /** When clients might find nobody listening. */
  readonly unbound: readonly Span[];
  /** When clients had to wait, since bytes came late or the supervisor did not run. */
  readonly slowed: readonly Span[];
  /** When nothing got through to the server; `slept`: the supervisor did not run for a part of it. */
  readonly severed: readonly (Span & { readonly slept: boolean })[];
  readonly calmAfterMs: number;
  readonly before: ProcessFacts;
  readonly after: ProcessFacts;
  readonly connectedAtMs: readonly number[];
  readonly loggedInAtMs: readonly number[];
  readonly faults: number;
  /** Supervisors that began anew, with an empty memory of their logins. */
  readonly killedAtMs: readonly number[];
}

/** Every promise that the facts contradict, in a sentence. */
export function promisesBroken(facts: Facts): string[] {
  return [
    ...facts.visits.flatMap((visit) => wrongsOf(visit, facts)),
    ...facts.stolenAtMs.slice(0, 1).map(() => `somebody else could take the port, ${facts.stolenAtMs.length} times`),
    ...liesOf(facts),
    ...loginsOf(facts),
    ...leftoversOf(facts),
    ...facts.records.flatMap(truncated),
    ...(facts.calmAfterMs > CALM_MS ? [`it took ${Math.round(facts.calmAfterMs)} ms to work after the last mend`] : []),
  ];
}

function wrongsOf({ number, wrongAt, tookMs, end, startedAtMs }: Visit, facts: Facts): string[] {
  const at = `from ${Math.round(startedAtMs)} to ${Math.round(startedAtMs + tookMs)}`;
  const endedAtMs = startedAtMs + tookMs;
  const slowedMs = facts.slowed.reduce(
    (sum, { fromMs, toMs }) => sum + Math.max(0, Math.min(toMs, endedAtMs) - Math.max(fromMs, startedAtMs)),
    0,
  );
  const excused = facts.unbound.some(({ fromMs, toMs }) => startedAtMs >= fromMs - 50 && startedAtMs <= toMs + 50);
  return [
    ...(wrongAt === undefined ? [] : [`client ${number} got a wrong byte at ${wrongAt}`]),
    ...(tookMs - slowedMs > LONGEST_VISIT_MS ? [`client ${number} waited ${Math.round(tookMs)} ms ${at}`] : []),
    ...(end === 'refused' && !excused ? [`client ${number} found nobody listening ${at}`] : []),
  ];
}

/** The service is an echo: a connection that ended whole has brought back what it took. */
function truncated({ client, end, sentBytes, receivedBytes }: ConnectionRecord): string[] {
  if (end !== 'done' || sentBytes === receivedBytes) return [];
  return [`the connection of ${client} ended as if whole, after ${receivedBytes} of ${sentBytes} bytes`];
}

/** Status said `up` although it could not be, for longer than a loss may stay unseen. */
function liesOf({ samples, probes, severed }: Facts): string[] {
  const ups = samples.filter(({ state }) => state === 'up');
  const late = severed.flatMap(({ fromMs, toMs, slept }) => {
    const limitMs = (slept ? AWAKE_MS : DETECTION_MS) + LATE_MS;
    // What was asked before the mend may be answered after it.
    const last = ups.filter(({ atMs, endedMs }) => atMs > fromMs + limitMs && endedMs < toMs).at(-1);
    return last === undefined ? [] : [`status said up ${Math.round(last.atMs - fromMs)} ms after the link was severed`];
  });
  return [...late, ...streaksOf(probes).flatMap((streak) => lieWithin(streak, samples))];
}

/** Spans in which each probe failed. */
function streaksOf(probes: readonly Probe[]): readonly Span[] {
  const streaks: { fromMs: number; toMs: number }[] = [];
  let failing = false;
  for (const { works, atMs, endedMs } of probes) {
    const last = streaks.at(-1);
    if (!works && failing && last !== undefined) last.toMs = endedMs;
    else if (!works) streaks.push({ fromMs: atMs, toMs: endedMs });
    failing = !works;
  }
  return streaks;
}

function lieWithin({ fromMs, toMs }: Span, samples: readonly Sample[]): string[] {
  let sinceMs: number | undefined;
  for (const { atMs, state } of samples) {
    if (atMs < fromMs || atMs > toMs || state !== 'up') sinceMs = undefined;
    else if (atMs - (sinceMs ??= atMs) > LONGEST_LIE_MS)
      return [`status said up for ${Math.round(atMs - sinceMs)} ms while no probe came through`];
  }
  return [];
}

function loginsOf({ connectedAtMs, loggedInAtMs, faults, killedAtMs }: Facts): string[] {
  const logins = loggedInAtMs.length;
  const crowded = connectedAtMs.flatMap((fromMs) => {
    const within = (times: readonly number[]): number =>
      times.filter((atMs) => atMs >= fromMs && atMs < fromMs + 30_000).length;
    return within(connectedAtMs) - within(loggedInAtMs);
  });
  const most = Math.max(0, ...crowded);
  return [
    ...(logins > 2 + 3 * faults ? [`the server saw ${logins} logins for ${faults} faults`] : []),
    ...(most > MOST_UNPROVEN * (1 + killedAtMs.length)
      ? [
          `the server saw ${most} connections without a login in 30 s from ${Math.round(connectedAtMs[crowded.indexOf(most)] ?? 0)}`,
        ]
      : []),
  ];
}

/** What a supervisor holds and does that it did not before the faults. */
export function leftoversOf({ before, after }: Pick<Facts, 'before' | 'after'>): string[] {
  const files = after.fileDescriptors - before.fileDescriptors;
  return [
    ...(files > 4 ? [`${files} file descriptors were not given back`] : []),
    ...(after.children > before.children ? [`${after.children} processes were left behind`] : []),
    ...(after.residentMiB > before.residentMiB + 150
      ? [`memory went from ${Math.round(before.residentMiB)} to ${Math.round(after.residentMiB)} MiB`]
      : []),
    ...(after.wakeUps > 2 * before.wakeUps + 20
      ? [`it wakes up ${after.wakeUps} times a second, and did ${before.wakeUps} times before`]
      : []),
  ];
}
