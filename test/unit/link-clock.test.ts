import { expect, test } from 'vitest';
import { systemClock } from '../../src/link/clock.ts';

test('a sleep ends in time, by the clock that measures it', async () => {
  const beforeMs = systemClock.nowMs();
  await systemClock.sleep(20);
  expect(systemClock.nowMs() - beforeMs).toBeGreaterThan(18); // Node's timers may be a millisecond early
});

test('a sleep ends early with the reason of its signal', async () => {
  const reason = new Error('woken');
  const alarm = new AbortController();
  const slept = systemClock.sleep(1_000_000, alarm.signal);
  alarm.abort(reason);
  await expect(slept).rejects.toBe(reason);
  await expect(systemClock.sleep(0, alarm.signal)).rejects.toBe(reason);
});

test('what is cancelled is not called, also when it is longer than a timer takes', async () => {
  const called: string[] = [];
  const cancels = [
    systemClock.after(0, () => called.push('soon')),
    systemClock.after(2 ** 40, () => called.push('late')),
  ];
  cancels[0]?.();
  await new Promise((resolve) => systemClock.after(5, () => resolve(undefined)));
  cancels[1]?.();
  expect(called).toEqual([]);
});
