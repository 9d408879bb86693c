export interface BackoffBounds {
  readonly initialMs: number;
  readonly maxMs: number;
}

/** Spread of the try that follows at once when a link that was up is lost: many links may have been cut by one event. */
export const AT_ONCE_JITTER_MS = 100;

/**
 * How long to wait before dialling again. Doubles from `initialMs` to `maxMs`, then gives back up to half at random
 * ("equal jitter"), so that the links which one outage cut do not all dial in the same second.
 * @param losses losses in a row without a login that held, 1 or more
 * @param draw a random number in [0, 1), drawn by the caller so that a test can name the result
 * @returns whole milliseconds, never more than `maxMs`
 */
export function backoffDelayMs(losses: number, bounds: BackoffBounds, draw: number): number {
  const bareMs = Math.min(bounds.maxMs, bounds.initialMs * 2 ** (losses - 1)); // Infinity is capped too
  return Math.round(bareMs * (1 - draw / 2));
}

/** How long a link that was up waits before its first try: next to nothing, and not all links at the same moment. */
export function atOnceDelayMs(draw: number): number {
  return Math.round(draw * AT_ONCE_JITTER_MS);
}
