import { cleanLine } from '../../model/clean.ts';
import type { Problem } from '../../model/failure.ts';
import type { Theme } from '../theme.ts';

/** `FILE:LINE:COL: message`, a line a mistake: the form that editors jump by. */
export function problemLines(problems: readonly Problem[], theme: Theme): string[] {
  return problems.map(({ file, line, column, message }) => {
    return `${theme.strong(`${cleanLine(file)}:${line}:${column}:`)} ${cleanLine(message)}`;
  });
}
