import { clean, cleanLine } from '../../model/clean.ts';
import type { FailureFacts } from '../../model/failure.ts';
import type { Theme } from '../theme.ts';

/** A failure for a person: each mistake of a file on a line of its own, then the sentence, then what to do. */
export function errorLines(facts: FailureFacts, theme: Theme): string[] {
  const problems = (facts.problems ?? []).map(
    ({ file, line, column, message }) =>
      `${theme.strong(`${cleanLine(file)}:${line}:${column}:`)} ${cleanLine(message)}`,
  );
  // The message repeats the first mistake, for programs: a person has just read all of them.
  if (problems.length > 0) return [...problems, `${theme.bad('tunnel:')} ${cleanLine(facts.hint)}`];
  return [`${theme.bad('tunnel:')} ${cleanLine(facts.message, 2_000)}`, ...hintLines(facts.hint, '  ')];
}

/** A hint may be a little list of remedies; each line is indented. */
export function hintLines(hint: string, indent: string): string[] {
  return hint === ''
    ? []
    : clean(hint)
        .split('\n')
        .map((line) => `${indent}${line}`);
}

/** The same for programs: the only thing on stdout under `--json`. */
export function errorJson({ code, message, hint, exit, problems }: FailureFacts): unknown {
  return { error: { code, message, hint, exit, ...(problems === undefined ? {} : { problems }) } };
}
