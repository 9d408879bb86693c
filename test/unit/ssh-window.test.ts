import { expect, test } from 'vitest';
import { windowKeeper } from '../../src/ssh/compat/channel-window.ts';
import {
  BASE_WINDOW_BYTES,
  MOST_WINDOW_BYTES,
  WindowBudget,
  WindowGrowth,
  type Path,
} from '../../src/ssh/data/window-growth.ts';

const MIB = 1024 * 1024;
const KIB = 1024;

/** One of which nothing but the round trip matters: the channel has it for itself. */
function path(roundTripMs: number | undefined): Path {
  return { roundTripMs: () => roundTripMs, receivedBytes: () => 0, isShared: () => false };
}

/** One channel of a connection that is `others` times as busy, for so many looks of 5 ms. */
function playBeside(
  growth: WindowGrowth,
  looks: number,
  bytes: number,
  others: number,
  { roundTripMs = 0.3, isShared = false, fromMs = 0 } = {},
): void {
  let receivedBytes = 0;
  const beside = { roundTripMs: () => roundTripMs, receivedBytes: () => receivedBytes, isShared: () => isShared };
  growth.took(0, fromMs, beside);
  for (let look = 1; look <= looks; look += 1) {
    receivedBytes += bytes * (1 + others);
    growth.took(bytes, fromMs + look * 5, beside);
  }
}

/** A reader that takes as much as the window lets through in each round trip, at most `mostBytes`. */
function play(
  growth: WindowGrowth,
  roundTrips: number,
  roundTripMs: number,
  mostBytes = Infinity,
  fromMs = 0,
): number[] {
  growth.took(0, fromMs, path(roundTripMs));
  return Array.from({ length: roundTrips }, (_, index) => {
    growth.took(Math.min(mostBytes, growth.targetBytes), fromMs + (index + 1) * roundTripMs, path(roundTripMs));
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
  growth.took(0, 0, path(0.2));
  growth.took(10 * MIB, 10, path(0.2));
  expect(growth.targetBytes).toBe(BASE_WINDOW_BYTES);
});

test('a reader that stands still earns nothing', () => {
  const growth = new WindowGrowth(new WindowBudget());
  play(growth, 1, 100);
  growth.took(1, 60_000, path(100));
  expect(growth.targetBytes).toBe(4 * MIB);
});

test('nothing grows before a round trip is known', () => {
  const growth = new WindowGrowth(new WindowBudget());
  growth.took(0, 0, path(undefined));
  growth.took(8 * MIB, 100, path(undefined));
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
  idle.took(1, 10_000, path(100));
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

  greedy.took(1, 10_000, path(100)); // it reads next to nothing by now
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

test('one of many channels on a short path has its window renewed to 256 KiB only', () => {
  const growth = new WindowGrowth(new WindowBudget());
  playBeside(growth, 1, 250 * KIB, 15);
  expect(growth.due(256 * KIB, 0)).toBe(0);
  expect(growth.due(192 * KIB, 0)).toBe(64 * KIB);
  expect(growth.withheld(192 * KIB)).toBe(BASE_WINDOW_BYTES - 256 * KIB);
  expect(growth.withheld(MIB)).toBe(MIB); // what was given before, its sender may still use
});

test('so has one beside which somebody speaks, until nobody has for a while', () => {
  const growth = new WindowGrowth(new WindowBudget());
  playBeside(growth, 1, 2 * MIB, 0, { isShared: true });
  expect(growth.due(MIB, 0)).toBe(0);
  playBeside(growth, 1, 2 * MIB, 0, { fromMs: 2_000 });
  expect(growth.due(256 * KIB, 0)).toBe(BASE_WINDOW_BYTES - 256 * KIB);
  expect(growth.withheld(256 * KIB)).toBe(0);
});

test('a channel that has most of what comes, and each one of a longer path, keeps its 2 MiB', () => {
  const few = new WindowGrowth(new WindowBudget());
  playBeside(few, 3, MIB, 3);
  expect(few.due(MIB, 0)).toBe(MIB);
  const far = new WindowGrowth(new WindowBudget());
  playBeside(far, 3, 10 * KIB, 15, { roundTripMs: 3, isShared: true });
  expect(far.due(MIB, 0)).toBe(MIB);
});

test('a shared window that holds its sender back grows with what the path holds', () => {
  const growth = new WindowGrowth(new WindowBudget());
  playBeside(growth, 1, 2 * MIB, 15, { roundTripMs: 1.25 });
  expect(growth.due(0, 0)).toBe(MIB);
});

test('ssh2, which knows one size only, widens no window of what is withheld, and learns the truth afterwards', () => {
  let toldBytes = 0;
  const protocol = { channelWindowAdjust: (_channel: number, bytes: number) => void (toldBytes += bytes) };
  const incoming = { window: BASE_WINDOW_BYTES };
  const channel = { readableLength: 0, incoming, outgoing: { id: 7, state: 'open' }, _client: { _protocol: protocol } };
  const growth = new WindowGrowth(new WindowBudget());
  const keep = windowKeeper(channel, growth);
  let sentBytes = 0;
  const openBytes = (): number => BASE_WINDOW_BYTES + toldBytes - sentBytes;
  const arrive = (): void => {
    sentBytes += 32 * KIB;
    incoming.window -= 32 * KIB;
    keep?.();
  };

  playBeside(growth, 1, 250 * KIB, 15);
  for (let packet = 0; packet < 56; packet += 1) arrive();
  expect([toldBytes, openBytes()]).toEqual([0, 256 * KIB]);
  for (let packet = 0; packet < 50; packet += 1) {
    arrive();
    expect(incoming.window).toBeGreaterThan(BASE_WINDOW_BYTES / 2); // where ssh2 would widen it by itself
    expect(openBytes()).toBeGreaterThan(192 * KIB);
    expect(openBytes()).toBeLessThanOrEqual(256 * KIB);
  }
  playBeside(growth, 1, MIB, 0, { fromMs: 1_000 });
  arrive();
  expect([incoming.window, openBytes()]).toEqual([BASE_WINDOW_BYTES, BASE_WINDOW_BYTES]);
});
