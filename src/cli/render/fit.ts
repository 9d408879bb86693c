/** The colours that we paint ourselves. */
const PAINT = /\x1b\[[0-9;]*m/g;

/** What a terminal takes without scrolling: its size in characters. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

/**
 * The first of the lines that stand on the screen together, long ones broken by the terminal and counted as such; where
 * some are left out, the last line says how many. A table that scrolls by itself hides its own head.
 */
export function fitLines(lines: readonly string[], { columns, rows }: Screen): readonly string[] {
  const heights = lines.map((line) => Math.max(1, Math.ceil(visibleLength(line) / Math.max(1, columns))));
  const total = heights.reduce((sum, height) => sum + height, 0);
  const room = rows - 1; // the cursor rests on the last row
  if (total <= room) return lines;
  let used = 1; // the line that says so
  const fitting = heights.findIndex((height) => (used += height) > room);
  const kept = lines.slice(0, Math.max(0, fitting));
  return [...kept, `… ${lines.length - kept.length} more lines`.slice(0, columns)];
}

function visibleLength(line: string): number {
  return Array.from(line.replace(PAINT, '')).length;
}
