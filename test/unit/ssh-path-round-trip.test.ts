import { expect, test } from 'vitest';
import { PathRoundTrip } from '../../src/ssh/data/path-round-trip.ts';

/** A ping every 15 s, as of a keepalive, for so many minutes. @returns when the clock stands then */
function pings(path: PathRoundTrip, ms: number, minutes: number, fromMs = 0, quiet = true): number {
  const untilMs = fromMs + minutes * 60_000;
  for (let nowMs = fromMs; nowMs < untilMs; nowMs += 15_000) path.saw(ms, nowMs, quiet);
  return untilMs;
}

test('a path is as long as its shortest round trip', () => {
  const path = new PathRoundTrip();
  expect(path.ms).toBeUndefined();
  path.saw(30, 0, false);
  expect(path.ms).toBe(30);
  path.saw(10, 1, true);
  path.saw(25, 2, true);
  expect(path.ms).toBe(10);
});

test('a path that becomes longer is known as that within two minutes, and one that becomes shorter at once', () => {
  const path = new PathRoundTrip();
  const longerMs = pings(path, 10, 10);
  const latelyMs = pings(path, 110, 0.5, longerMs);
  expect(path.ms).toBe(10);
  pings(path, 110, 2, latelyMs);
  expect(path.ms).toBe(110);
  path.saw(40, latelyMs + 120_000, false);
  expect(path.ms).toBe(40);
});

test('a queue that stands for hours is not taken for a longer path', () => {
  const path = new PathRoundTrip();
  const busyMs = pings(path, 10, 2);
  expect(path.stale(busyMs)).toBe(true);
  const quietMs = pings(path, 300, 120, busyMs, false);
  expect(path.ms).toBe(10);
  path.saw(12, quietMs, true);
  expect(path.stale(quietMs)).toBe(false);
  expect(path.ms).toBe(10);
  pings(path, 300, 3, quietMs + 1, false);
  path.saw(12, quietMs + 180_000, true);
  expect(path.ms).toBe(12);
});
