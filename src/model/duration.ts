/** Longest duration that a timer of Node can wait: 2^31 - 1 ms, a little under 25 days. */
export const LONGEST_MS = 24 * 86_400_000;

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** What a written duration looks like: a number and its unit, as in `500ms`, `15s`, `10m`, `2h`. */
export const DURATION_PATTERN = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;

/**
 * Reads `500ms`, `15s`, `1.5m`, `2h`, `1d`.
 * @returns whole milliseconds; undefined where the text is no duration, is less than 1 ms or more than `LONGEST_MS`
 */
export function parseDuration(text: string): number | undefined {
  const match = DURATION_PATTERN.exec(text);
  const unit = match?.[2];
  if (match === null || !isUnit(unit)) return undefined;
  const ms = Math.round(Number(match[1]) * UNITS_MS[unit]);
  return ms >= 1 && ms <= LONGEST_MS ? ms : undefined;
}

/** The shortest way to write whole milliseconds without losing any: `15s`, `1h`, `1500ms`. `parseDuration` reads it back. */
export function formatDuration(ms: number): string {
  const units = ['h', 'm', 's'] as const;
  const unit = units.find((name) => ms >= UNITS_MS[name] && ms % UNITS_MS[name] === 0) ?? 'ms';
  return `${ms / UNITS_MS[unit]}${unit}`;
}

function isUnit(text: string | undefined): text is keyof typeof UNITS_MS {
  return text !== undefined && Object.hasOwn(UNITS_MS, text);
}
