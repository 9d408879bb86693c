import type { Clock } from '../model/clock.ts';
import { asError } from '../model/failure.ts';

/** The machine's own time. Timers keep the process alive, as whoever waits wants to see the end of it. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(delayMs, LONGEST_MS));
    return () => clearTimeout(timer);
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(asError(signal.reason));
      const aborted = (): void => {
        clearTimeout(timer);
        reject(asError(signal?.reason));
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', aborted);
          resolve();
        },
        Math.min(delayMs, LONGEST_MS),
      );
      signal?.addEventListener('abort', aborted, { once: true });
    });
  },
};

/** setTimeout fires at once for anything longer: 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;
