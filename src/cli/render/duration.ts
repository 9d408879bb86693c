/** A span of time for people: the two largest units that say something, `850ms`, `15s`, `4m10s`, `2h`, `3d4h`. */
export function spanText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = Math.floor(ms / 1_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('');
}

/** Whole seconds since a time in ISO 8601; `-` where the text is none, `0s` where the clock was set back meanwhile. */
export function ageText(since: string, nowMs: number): string {
  const ageMs = nowMs - Date.parse(since);
  if (Number.isNaN(ageMs)) return '-';
  return ageMs < 1_000 ? '0s' : spanText(ageMs);
}
