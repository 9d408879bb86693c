import { expect, test } from 'vitest';
import { runSchedule } from '../faults/schedule.ts';

// The short form; `npm run faults` draws longer schedules from fresh seeds.
test.each([7, 8])('random faults from seed %i break no promise', { timeout: 120_000 }, async (seed) => {
  const found = await runSchedule(seed, 8, () => undefined);

  expect(found.broken).toEqual([]);
  expect(found.visits.whole).toBeGreaterThan(100);
});
