import { TunnelError } from '../model/failure.ts';

/** Ctrl-C and its like, as one signal for the whole command. */
export interface Interruption {
  readonly signal: AbortSignal;
  /** What came from outside; undefined where a prompt met Ctrl-C as a key, or nothing came. */
  readonly by: () => NodeJS.Signals | undefined;
  readonly interrupt: () => void;
}

/** `process.exit` code of a command that was asked twice and does not end. */
const IMPATIENT = 130;

/** Listens from now on. The first signal lets the command clean up; the second ends the process at once. */
export function interruptible(): Interruption {
  const controller = new AbortController();
  let by: NodeJS.Signals | undefined;
  const interrupt = (): void => controller.abort(new TunnelError('INTERRUPTED', 'Interrupted'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(IMPATIENT);
      by = name;
      interrupt();
    });
  }
  return { signal: controller.signal, by: () => by, interrupt };
}
