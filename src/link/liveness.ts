export interface KeepaliveRules {
  /** 0 sends no keepalive by itself: silence is then noticed only where a proof is asked for. */
  readonly intervalMs: number;
  readonly maxMissed: number;
}

/** What is known of a connection's life. `seenBytes` counts bytes read from the network at the last look. */
export interface Liveness {
  readonly seenBytes: number;
  /** Pings sent since the last byte was seen. */
  readonly unanswered: number;
  /** The next regular look; Infinity without a keepalive. */
  readonly tickMs: number;
  /** A byte must come by then; null where no proof is asked for. */
  readonly proveByMs: number | null;
}

export type Verdict = 'ping' | 'wait' | 'dead';

export interface Look {
  readonly liveness: Liveness;
  readonly verdict: Verdict;
}

/** After sleep or a network change: with the ping's own way there and back, loss is seen within 5 s. */
export const PROOF_MS = 4_000;

/** A look that comes so late means that this process did not run meanwhile, and that the far side may have left. */
const SLEPT_MS = 5_000;

export function beginLiveness(nowMs: number, receivedBytes: number, rules: KeepaliveRules): Liveness {
  const tickMs = rules.intervalMs > 0 ? nowMs + rules.intervalMs : Infinity;
  return { seenBytes: receivedBytes, unanswered: 0, tickMs, proveByMs: null };
}

/** When to look next; Infinity for never. No sooner than the keepalive's interval, unless a proof is under way. */
export function nextLookMs(liveness: Liveness): number {
  return Math.min(liveness.tickMs, liveness.proveByMs ?? Infinity);
}

/**
 * Judges by bytes and not by answers to pings: on a slow path a ping may wait behind megabytes while the connection is
 * well. At every tick a ping goes out, also when bytes came since the last one: when exactly they came is not known, and
 * only so does the loss of a quiet link show within interval x (maxMissed + 1) of its last byte.
 */
export function look(before: Liveness, nowMs: number, receivedBytes: number, rules: KeepaliveRules): Look {
  const alive = receivedBytes > before.seenBytes;
  const seen = alive ? { ...before, seenBytes: receivedBytes, unanswered: 0, proveByMs: null } : before;
  if (seen.proveByMs !== null && nowMs >= seen.proveByMs) return { liveness: seen, verdict: 'dead' };
  if (nowMs < seen.tickMs) return { liveness: seen, verdict: 'wait' };
  const lateMs = nowMs - seen.tickMs;
  const tickMs = lateMs < rules.intervalMs ? seen.tickMs + rules.intervalMs : nowMs + rules.intervalMs;
  if (lateMs > SLEPT_MS) return prove({ ...seen, tickMs }, nowMs, receivedBytes, PROOF_MS);
  if (seen.unanswered >= Math.max(1, rules.maxMissed)) return { liveness: seen, verdict: 'dead' };
  return { liveness: { ...seen, unanswered: seen.unanswered + 1, tickMs }, verdict: 'ping' };
}

/** Asks for a sign of life within `withinMs`; a proof that is already asked for is not put off. */
export function prove(before: Liveness, nowMs: number, receivedBytes: number, withinMs: number): Look {
  const alive = receivedBytes > before.seenBytes;
  const proveByMs = Math.min(nowMs + withinMs, alive ? Infinity : (before.proveByMs ?? Infinity));
  const unanswered = alive ? 0 : before.unanswered;
  return { liveness: { ...before, seenBytes: receivedBytes, unanswered, proveByMs }, verdict: 'ping' };
}
