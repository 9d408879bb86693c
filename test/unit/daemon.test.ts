import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IdleWatch } from '../../src/daemon/idle-watch.ts';
import { parseLock, type LockFacts } from '../../src/daemon/lock-facts.ts';
import { parsePs, parseStat } from '../../src/daemon/process-identity.ts';
import { FakeClock } from '../support/fake-clock.ts';

const facts: LockFacts = {
  pid: 4711,
  bootId: 'b',
  processStart: '99',
  token: 't',
  startedAt: '2026-01-01T00:00:00.000Z',
  socket: '/run/s',
  version: '1.2.3',
};

describe('a lock file', () => {
  test('says what was written, fields from the future apart', () => {
    expect(parseLock(JSON.stringify({ ...facts, later: 1 }))).toEqual(facts);
  });

  test('of a system without boot ids and start times is read too', () => {
    const plain = { ...facts, bootId: null, processStart: null };
    expect(parseLock(JSON.stringify(plain))).toEqual(plain);
  });

  test.each([
    ['nothing', ''],
    ['half of one', JSON.stringify(facts).slice(0, 40)],
    ['a list', '[]'],
    ['no pid', JSON.stringify({ ...facts, pid: undefined })],
    ['a pid that names every process', JSON.stringify({ ...facts, pid: -1 })],
    ['a pid that names our group', JSON.stringify({ ...facts, pid: 0 })],
    ['no socket', JSON.stringify({ ...facts, socket: 5 })],
  ])('that holds %s is damaged', (_what, text) => {
    expect(parseLock(text)).toBeUndefined();
  });

  test('of any content never throws', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseLock(text)));
  });
});

describe('a process', () => {
  test('is known by the start that /proc tells, whatever its name holds', () => {
    const stat = `42 (a) Z b) S ${Array.from({ length: 30 }, (_, at) => at + 4).join(' ')}\n`;
    expect(parseStat(stat)).toEqual({ start: '22', ended: false, stopped: false });
    expect(parseStat(stat.replace(') S', ') T'))).toEqual({ start: '22', ended: false, stopped: true });
    expect(parseStat(stat.replace(') S', ') Z'))).toEqual({ start: '22', ended: true, stopped: false });
    expect(parseStat('')).toBeUndefined();
  });

  test('is known by the start that ps tells, where there is no /proc', () => {
    expect(parsePs('Ss   Sat Nov 22 16:18:24 2025\n')).toEqual({
      start: 'Sat Nov 22 16:18:24 2025',
      ended: false,
      stopped: false,
    });
    expect(parsePs('Z+   Sat Nov 22 16:18:24 2025')).toEqual({
      start: 'Sat Nov 22 16:18:24 2025',
      ended: true,
      stopped: false,
    });
    expect(parsePs('')).toBeUndefined();
  });
});

describe('an idle supervisor', () => {
  function watched(needed: { now: boolean }): { clock: FakeClock; watch: IdleWatch; ends: () => number } {
    const clock = new FakeClock();
    let ends = 0;
    const watch = new IdleWatch(
      clock,
      600_000,
      () => needed.now,
      () => (ends += 1),
    );
    return { clock, watch, ends: () => ends };
  }

  test('leaves once nothing was needed for the whole time', async () => {
    const { clock, ends } = watched({ now: false });
    await clock.advance(599_999);
    expect(ends()).toBe(0);
    await clock.advance(1);
    expect(ends()).toBe(1);
  });

  test('begins to count anew after it was needed', async () => {
    const needed = { now: false };
    const { clock, watch, ends } = watched(needed);
    await clock.advance(599_000);
    needed.now = true;
    watch.look();
    needed.now = false;
    watch.look();
    await clock.advance(599_999);
    expect(ends()).toBe(0);
    await clock.advance(1);
    expect(ends()).toBe(1);
  });

  test('does not leave when it is needed at the last moment', async () => {
    const needed = { now: false };
    const { clock, ends } = watched(needed);
    needed.now = true;
    await clock.advance(600_000);
    expect(ends()).toBe(0);
  });

  test('keeps no timer once it was stopped', () => {
    const { clock, watch } = watched({ now: false });
    watch.stop();
    watch.look();
    expect(clock.pending).toBe(0);
  });
});
