import { TunnelError } from '../model/failure.ts';

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Calls `stop` when the signal aborts; without one, when the process is told to end. @returns how to let go of that */
export function onStopSignal(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (signal !== undefined) {
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    return () => signal.removeEventListener('abort', stop);
  }
  for (const name of STOP_SIGNALS) process.on(name, stop);
  return () => {
    for (const name of STOP_SIGNALS) process.off(name, stop);
  };
}

/** More faults than this in a minute is a loop: better no supervisor than one that only fails. */
const MOST_FAULTS = 20;
const FAULTS_WITHIN_MS = 60_000;

/**
 * Reports what nothing caught and goes on: one tunnel's fault must not end the others, and after a throw from a timer
 * or a socket's event nothing but that one callback was cut short. Ends by `stop` when the faults do not.
 * @returns how to let go of that
 */
export function surviveFaults(onFault: (error: TunnelError) => void, stop: () => void): () => void {
  let times: number[] = [];
  const caught = (thrown: unknown): void => {
    const nowMs = performance.now();
    times = [...times.filter((time) => nowMs - time < FAULTS_WITHIN_MS), nowMs];
    onFault(asFault(thrown));
    if (times.length === MOST_FAULTS) stop();
  };
  process.on('uncaughtException', caught);
  process.on('unhandledRejection', caught);
  return () => {
    process.off('uncaughtException', caught);
    process.off('unhandledRejection', caught);
  };
}

/** Even a TunnelError is our fault when nobody was there to catch it. */
function asFault(thrown: unknown): TunnelError {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TunnelError('INTERNAL', message, { cause: thrown });
}
