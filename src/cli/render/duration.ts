const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Reads `500ms`, `15s`, `10m`, `2h`, `1d`, and sums such as `1h30m`; `0` needs no unit.
 * @returns milliseconds; undefined where the text is none of these, or more than a timer can wait (24 days)
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let sumMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sumMs += Number(amount) * (unit === 'ms' || unit === 's' || unit === 'm' || unit === 'h' ? UNITS[unit] : UNITS.d);
  }
  return sumMs <= LONGEST_MS ? Math.round(sumMs) : undefined;
}

/** setTimeout holds its delay in 31 bits; a longer one would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** A duration for people: the two largest units that say something, `850ms`, `15s`, `4m10s`, `2h`, `3d4h`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = Math.floor(ms / 1_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount}${unit}`).join('');
}
