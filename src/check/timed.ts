import { cleanLine } from '../model/clean.ts';
import { asTunnelError, type TunnelError } from '../model/failure.ts';

/** One thing that was proved, or was not. */
export interface CheckStep {
  /** `bind`, `DNS`, `TCP`, `host key`, `login`, `channel`, `listen`, `first bytes`, `answer`, `router`, `external`, `map`. */
  readonly step: string;
  /** Whom it was tried with. */
  readonly subject: string;
  readonly ms: number;
  /** What was found: an address, a server's version, the first line of the service. Clean, on one line. */
  readonly found: string;
  /** Why it failed; undefined where it did not. */
  readonly error: TunnelError | undefined;
}

export interface TimedNeeds {
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
}

/** Does one step. @returns what it found. Rejects where it does not hold. */
export type Work = () => Promise<string>;

/** Runs a step and says how it went, and how long that took. Rejects with the signal's reason alone. */
export async function timed(
  { nowMs, signal }: TimedNeeds,
  step: string,
  subject: string,
  work: Work,
): Promise<CheckStep> {
  const sinceMs = nowMs();
  const done = (found: string, error?: TunnelError): CheckStep => {
    return { step, subject, ms: Math.round(nowMs() - sinceMs), found: cleanLine(found, 120), error };
  };
  try {
    return done(await work());
  } catch (thrown) {
    signal.throwIfAborted();
    return done('', asTunnelError(thrown));
  }
}
