import type { Plan } from '../model/plan.ts';

/** What turns the things that run into the things that are wanted. Each name stands in exactly one list. */
export interface Reconciliation {
  readonly start: readonly string[];
  readonly stop: readonly string[];
  readonly keep: readonly string[];
  /** Runs, but otherwise than wanted now. */
  readonly change: readonly string[];
}

/** Compares by name; `same` says whether one that is in both may stay as it is. Order: as in `wanted`, then as in `running`. */
export function reconcile<T>(
  running: ReadonlyMap<string, T>,
  wanted: ReadonlyMap<string, T>,
  same: (running: T, wanted: T) => boolean,
): Reconciliation {
  const lists = { start: [] as string[], stop: [] as string[], keep: [] as string[], change: [] as string[] };
  for (const [name, wish] of wanted) {
    const now = running.get(name);
    if (now === undefined) lists.start.push(name);
    else (same(now, wish) ? lists.keep : lists.change).push(name);
  }
  for (const name of running.keys()) if (!wanted.has(name)) lists.stop.push(name);
  return lists;
}

/** Plans are JSON by nature and come from one maker, so equal ones are written equally. */
export function samePlan(one: Plan, other: Plan): boolean {
  return JSON.stringify(one, unworded) === JSON.stringify(other, unworded);
}

/** `trustedAs` words a hint: the profile by its name and by its path is the same tunnel. */
function unworded(key: string, value: unknown): unknown {
  return key === 'trustedAs' ? undefined : value;
}

/** Whether the link under both could be one and the same: if not, a change dials anew and moves over. */
export function sameLink(one: Plan, other: Plan): boolean {
  return JSON.stringify(linkPart(one), unworded) === JSON.stringify(linkPart(other), unworded);
}

function linkPart({ hops, keepalive, reconnect, timeouts, secrets, connections, whileDown }: Plan): unknown {
  return [hops, keepalive, reconnect, timeouts, secrets, connections, whileDown.hold, whileDown.queue];
}
