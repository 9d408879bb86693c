import type { DemandPlan } from '../model/plan.ts';

/** What is known of something that opens on demand. Times are of the clock that never goes back. */
export interface DemandState {
  readonly nowMs: number;
  /** Since when it is open; null while it is closed. */
  readonly openedMs: number | null;
  /** Users that keep it open by being there, those that wait included. */
  readonly users: number;
  /** When it was used last, by somebody who came, went, or moved a byte. */
  readonly lastUseMs: number;
}

/**
 * `open` it now; `keep` it as it is, and decide again at `untilMs` where nothing happens till then; `close` it now.
 * `idleUntilMs`: the countdown that runs while nobody uses it.
 */
export type Decision =
  | { readonly name: 'open' }
  | { readonly name: 'keep'; readonly untilMs: number | null; readonly idleUntilMs: number | null }
  | { readonly name: 'close'; readonly why: 'idle' | 'lifetime' };

/** Whether a forward that opens on demand should be open. A use opens it; idleness or its lifetime closes it. */
export function decide({ nowMs, openedMs, users, lastUseMs }: DemandState, rules: DemandPlan): Decision {
  if (openedMs === null) return users > 0 ? { name: 'open' } : { name: 'keep', untilMs: null, idleUntilMs: null };
  const endMs = rules.lifetimeMs === null ? Infinity : openedMs + rules.lifetimeMs;
  if (nowMs >= endMs) return { name: 'close', why: 'lifetime' };
  if (users > 0) return { name: 'keep', untilMs: endMs === Infinity ? null : endMs, idleUntilMs: null };
  const idleUntilMs = Math.min(Math.max(lastUseMs, openedMs) + rules.idleMs, endMs);
  return nowMs >= idleUntilMs ? { name: 'close', why: 'idle' } : { name: 'keep', untilMs: idleUntilMs, idleUntilMs };
}
