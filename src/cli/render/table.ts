/** A cell: its text, and how it is painted after it was measured. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

/** What stands between two columns. */
const GAP = '  ';

/**
 * Rows as lines in aligned columns. A row may be a string: it stands as it is, and no column heeds it.
 * Widths count code points: what is wider or narrower than that (CJK, combining marks) only shifts its own row.
 */
export function tableLines(rows: readonly (readonly Cell[] | string)[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    if (typeof row === 'string') continue;
    row.forEach(({ text }, column) => (widths[column] = Math.max(widths[column] ?? 0, width(text))));
  }
  return rows.map((row) => (typeof row === 'string' ? row : alignedRow(row, widths)));
}

/** Paint goes around the text alone, so that no escape is counted or padded. */
function alignedRow(row: readonly Cell[], widths: readonly number[]): string {
  const cells = row.map(({ text, paint }, column) => {
    const padding = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(text)));
    return `${paint === undefined || text === '' ? text : paint(text)}${padding}`;
  });
  return cells.join(GAP).trimEnd();
}

function width(text: string): number {
  return Array.from(text).length;
}
