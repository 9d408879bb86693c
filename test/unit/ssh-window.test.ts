import { expect, test } from 'vitest';
import { BASE_WINDOW_BYTES, MOST_WINDOW_BYTES, WindowBudget, WindowGrowth } from '../../src/ssh/data/window-growth.ts';

const MIB = 1024 * 1024;

/** A reader that takes as much as the window lets through in each round trip, at most `mostBytes`. */
function play(
  growth: WindowGrowth,
  roundTrips: number,
  roundTripMs: number,
  mostBytes = Infinity,
  fromMs = 0,
): number[] {
  growth.took(0, fromMs, roundTripMs);
  return Array.from({ length: roundTrips }, (_, index) => {
    growth.took(Math.min(mostBytes, growth.targetBytes), fromMs + (index + 1) * roundTripMs, roundTripMs);
    return growth.targetBytes / MIB;
  });
}

test('a window that holds the sender back doubles with each round trip, up to 64 MiB', () => {
  expect(play(new WindowGrowth(new WindowBudget()), 7, 100)).toEqual([4, 8, 16, 32, 64, 64, 64]);
});

test('a window that is not used up stays: the path or the reader is what is slow', () => {
  expect(play(new WindowGrowth(new WindowBudget()), 3, 100, MIB / 2)).toEqual([2, 2, 2]);
});

test('a short path earns no growth, however seldom this process gets to look', () => {
  const growth = new WindowGrowth(new WindowBudget());
  growth.took(0, 0, 0.2);
  growth.took(10 * MIB, 10, 0.2);
  expect(growth.targetBytes).toBe(BASE_WINDOW_BYTES);
});

test('a reader that stands still earns nothing', () => {
  const growth = new WindowGrowth(new WindowBudget());
  play(growth, 1, 100);
  growth.took(1, 60_000, 100);
  expect(growth.targetBytes).toBe(4 * MIB);
});

test('nothing grows before a round trip is known', () => {
  const growth = new WindowGrowth(new WindowBudget());
  growth.took(0, 0, undefined);
  growth.took(8 * MIB, 100, undefined);
  expect(growth.targetBytes).toBe(BASE_WINDOW_BYTES);
});

test('all channels together are given no more than the budget, and give it back', () => {
  const budget = new WindowBudget(32 * MIB);
  const channels = Array.from({ length: 20 }, () => new WindowGrowth(budget));
  for (const channel of channels) play(channel, 7, 100);
  expect(budget.grantedBytes).toBeLessThanOrEqual(32 * MIB);
  for (const channel of channels) channel.close();
  for (const channel of channels) channel.close();
  expect(budget.grantedBytes).toBe(0);
});

test('when the budget is scarce, a channel that uses little gives back what it does not use', () => {
  const budget = new WindowBudget(64 * MIB);
  const idle = new WindowGrowth(budget);
  play(idle, 5, 100);
  const busy = new WindowGrowth(budget);
  play(busy, 5, 100);
  const before = idle.targetBytes;
  expect(budget.scarce).toBe(true);
  idle.took(1, 10_000, 100);
  expect(idle.targetBytes).toBeLessThan(before);
  expect(idle.targetBytes).toBe(BASE_WINDOW_BYTES);
});

test('a greedy reader gives back what the others lack, as its sender uses it up, and they get it', () => {
  const budget = new WindowBudget(64 * MIB);
  const greedy = new WindowGrowth(budget);
  play(greedy, 5, 100);
  const given = greedy.targetBytes;
  const others = [new WindowGrowth(budget), new WindowGrowth(budget)];
  for (const other of others) play(other, 5, 100);
  const before = others.map(({ targetBytes }) => targetBytes);

  greedy.took(1, 10_000, 100); // it reads next to nothing by now
  expect(greedy.due(given - 1, 0)).toBe(0);
  const counted = budget.grantedBytes;
  expect(counted).toBeGreaterThan(56 * MIB); // its sender may still send all of it
  expect(greedy.due(0, given / 2)).toBe(0);
  expect(budget.grantedBytes).toBe(counted - (given - 1 - given / 2));
  expect(greedy.due(MIB, 0)).toBe(MIB);

  for (const other of others) play(other, 5, 100, Infinity, 500);
  const after = others.map(({ targetBytes }) => targetBytes);
  expect(after.map((bytes, index) => bytes > (before[index] ?? 0))).toEqual([true, true]);
  expect(budget.grantedBytes).toBeLessThanOrEqual(64 * MIB);
  for (const channel of [greedy, ...others]) channel.close();
  expect(budget.grantedBytes).toBe(0);
});

test('a window is widened by a quarter at a time, and not for what waits to be read', () => {
  const growth = new WindowGrowth(new WindowBudget());
  expect(growth.due(BASE_WINDOW_BYTES * 0.8, 0)).toBe(0);
  expect(growth.due(BASE_WINDOW_BYTES / 2, 0)).toBe(MIB);
  expect(growth.due(BASE_WINDOW_BYTES / 2, MIB)).toBe(0);
  expect(MOST_WINDOW_BYTES).toBe(64 * MIB);
});
