const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** A count of bytes for people, in steps of 1000: `0 B`, `812 B`, `1.2 kB`, `34 MB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  let amount = bytes / 1_000;
  let step = 0;
  while (amount >= 999.5 && step < UNITS.length - 1) {
    amount /= 1_000;
    step += 1;
  }
  return `${amount < 9.95 ? amount.toFixed(1) : amount.toFixed(0)} ${UNITS[step] ?? ''}`;
}
