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
  /** The sign of life that is asked for, if one is. */
  readonly proof: Proof | null;
}

/**
 * A proof is given by the answer to a ping sent since, or by bytes that come once `settled`: what is read in the first
 * moment may have lain in the kernel's buffers since before the sleep.
 */
export interface Proof {
  readonly sinceMs: number;
  readonly byMs: number;
  readonly settled: boolean;
}

export type Verdict = 'ping' | 'wait' | 'dead';

export interface Look {
  readonly liveness: Liveness;
  readonly verdict: Verdict;
}

/** After sleep or a network change: with the ping's own way there and back, loss is seen within 5 s. */
export const PROOF_MS = 4_000;

/** By then whatever waited in this machine has been read. */
const SETTLE_MS = 1_000;

/** A look that comes so late means that this process did not run meanwhile, and that the far side may have left. */
const SLEPT_MS = 5_000;

export function beginLiveness(nowMs: number, receivedBytes: number, rules: KeepaliveRules): Liveness {
  const tickMs = rules.intervalMs > 0 ? nowMs + rules.intervalMs : Infinity;
  return { seenBytes: receivedBytes, unanswered: 0, tickMs, proof: null };
}

/** When to look next; Infinity for never. No sooner than the keepalive's interval, unless a proof is under way. */
export function nextLookMs(liveness: Liveness): number {
  const { tickMs, proof } = liveness;
  if (proof === null) return tickMs;
  return Math.min(tickMs, proof.byMs, proof.settled ? Infinity : proof.sinceMs + SETTLE_MS);
}

/**
 * Judges by bytes and not by answers to pings: on a slow path a ping may wait behind megabytes while the connection is
 * well. At every tick a ping goes out, also when bytes came since the last one: when exactly they came is not known, and
 * only so does the loss of a quiet link show within interval x (maxMissed + 1) of its last byte.
 */
export function look(before: Liveness, nowMs: number, receivedBytes: number, rules: KeepaliveRules): Look {
  const seen = count(before, nowMs, receivedBytes);
  if (seen.proof !== null && nowMs >= seen.proof.byMs) return { liveness: seen, verdict: 'dead' };
  if (nowMs < seen.tickMs) return { liveness: seen, verdict: 'wait' };
  const lateMs = nowMs - seen.tickMs;
  const tickMs = lateMs < rules.intervalMs ? seen.tickMs + rules.intervalMs : nowMs + rules.intervalMs;
  if (lateMs > SLEPT_MS) return prove({ ...seen, tickMs }, nowMs, receivedBytes, PROOF_MS);
  if (seen.unanswered >= Math.max(1, rules.maxMissed)) return { liveness: seen, verdict: 'dead' };
  return { liveness: { ...seen, unanswered: seen.unanswered + 1, tickMs }, verdict: 'ping' };
}

/** Asks for a sign of life within `withinMs`; a proof that is due sooner stands. */
export function prove(before: Liveness, nowMs: number, receivedBytes: number, withinMs: number): Look {
  const seen = count(before, nowMs, receivedBytes);
  const byMs = nowMs + withinMs;
  const stands = seen.proof !== null && seen.proof.byMs <= byMs;
  const proof = stands ? seen.proof : { sinceMs: nowMs, byMs, settled: false };
  return { liveness: { ...seen, proof }, verdict: 'ping' };
}

/** A ping was answered: proof enough, where it was sent after the proof was asked for. */
export function answered(before: Liveness, sentMs: number): Liveness {
  return before.proof !== null && sentMs >= before.proof.sinceMs ? { ...before, proof: null } : before;
}

function count(before: Liveness, nowMs: number, receivedBytes: number): Liveness {
  const grown = receivedBytes > before.seenBytes;
  const unanswered = grown ? 0 : before.unanswered;
  return { ...before, seenBytes: receivedBytes, unanswered, proof: proofAfter(before.proof, nowMs, grown) };
}

function proofAfter(proof: Proof | null, nowMs: number, grown: boolean): Proof | null {
  if (proof === null || (proof.settled && grown)) return null;
  return proof.settled || nowMs < proof.sinceMs + SETTLE_MS ? proof : { ...proof, settled: true };
}
