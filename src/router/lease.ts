/** What a client and a router's clocks said at one answer. */
export interface EpochMark {
  readonly atMs: number;
  readonly epochSeconds: number;
}

/**
 * Whether the router has forgotten its mappings between two answers: RFC 6887 section 8.5, which is stricter than RFC 6886
 * section 3.6 and holds for both. A false alarm costs one more request.
 */
export function routerRestarted(before: EpochMark, now: EpochMark): boolean {
  const { epochSeconds: was } = before;
  const { epochSeconds: is } = now;
  if (is + 1 < was) return true;
  const ours = (now.atMs - before.atMs) / 1_000;
  const its = is - was;
  return ours + 2 < its - its / 16 || its + 2 < ours - ours / 16;
}

/** Section 11.2.1: a router that is slow to answer must not be asked more often. */
const RENEWALS_AT_LEAST_MS = 4_000;

/**
 * How long after a lease was granted it is asked for again: at half its life, then, if that was in vain, at three quarters,
 * seven eighths and so on, each a little late at random (section 11.2.1), so that not all clients come at once.
 * @param tries renewals of this lease that were in vain
 * @param draw a random number in [0, 1)
 * @returns undefined where the lease ends before another try is due
 */
export function renewalDueMs(leaseMs: number, tries: number, draw: number): number | undefined {
  const leftMs = leaseMs / 2 ** (tries + 1);
  if (tries > 0 && leftMs < RENEWALS_AT_LEAST_MS) return undefined;
  return Math.round(leaseMs - leftMs + draw * (leftMs / 8));
}

/** A router that refused or was silent is asked again after 10 s, 20 s, and at last every 10 min. */
const ASK_AGAIN_MS = 10_000;
const ASK_AGAIN_AT_MOST_MS = 600_000;

/** @param failures in a row, 1 or more @param draw a random number in [0, 1) */
export function askAgainMs(failures: number, draw: number): number {
  const bareMs = Math.min(ASK_AGAIN_AT_MOST_MS, ASK_AGAIN_MS * 2 ** (failures - 1));
  return Math.round(bareMs * (1 - draw / 4));
}

/** Whatever a router says, it is asked no more often than each second, and once a week at least. */
const LEASE_AT_LEAST_SECONDS = 2;
const LEASE_AT_MOST_SECONDS = 604_800;

/** How long a grant counts. */
export function boundedLeaseMs(leaseSeconds: number): number {
  return Math.min(LEASE_AT_MOST_SECONDS, Math.max(LEASE_AT_LEAST_SECONDS, leaseSeconds)) * 1_000;
}
