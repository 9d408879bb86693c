/** The line of a finished connection is written when it is over. */
import { EventLog as Real, type EventLogOptions } from '../../../src/observe/log.ts';

export { formatLine, KEPT_LOGS, ROTATE_BYTES, type EventLogOptions } from '../../../src/observe/log.ts';

const GATHER_MS = 250;

export class EventLog extends Real {
  constructor(options: EventLogOptions) {
    const { clock } = options;
    const at = (delayMs: number, run: () => void): (() => void) => {
      if (delayMs !== GATHER_MS) return clock.after(delayMs, run);
      queueMicrotask(run);
      return () => undefined;
    };
    super({ ...options, clock: { ...clock, after: at } });
  }
}
