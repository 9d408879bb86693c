import { cleanLine } from '../../model/clean.ts';
import type { TunnelError } from '../../model/failure.ts';
import type { Theme } from '../theme.ts';
import { hintLines } from './error.ts';

/** One thing that was tried with a server, of `check` and `authorize`. */
export interface TriedStep {
  readonly step: string;
  readonly subject: string;
  readonly ms: number;
  readonly found: string;
  /** Undefined where it is as it should be. */
  readonly error: TunnelError | undefined;
}

/** `ok  login  alice@host  12 ms  …`; a failure with what to do about it beneath. */
export function stepLines({ step, subject, ms, found, error }: TriedStep, { good, bad, dim }: Theme): string[] {
  const what = `${step.padEnd(11)}  ${cleanLine(subject)}`;
  if (error === undefined) return [`${good('ok')}  ${what}  ${dim(`${ms} ms`)}  ${found}`];
  return [`${bad('no')}  ${what}  ${dim(`${ms} ms`)}  ${cleanLine(error.message)}`, ...hintLines(error.hint, '      ')];
}

/** The same for programs. */
export function stepJson({ step, subject, ms, found, error }: TriedStep): unknown {
  return { step, subject, ms, ok: error === undefined, found, error: error === undefined ? null : error.facts };
}
