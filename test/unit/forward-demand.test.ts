import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type Decision, type DemandState } from '../../src/forward/demand.ts';
import { LinkNeed } from '../../src/forward/link-need.ts';
import type { DemandPlan } from '../../src/model/plan.ts';
import { FakeClock } from '../support/fake-clock.ts';

const IDLE: DemandPlan = { idleMs: 600, lifetimeMs: null };
const SHORT: DemandPlan = { idleMs: 600, lifetimeMs: 1_000 };
const FOREVER: DemandPlan = { idleMs: 600, lifetimeMs: null };

const state = (nowMs: number, openedMs: number | null, users: number, lastUseMs = 0): DemandState => {
  return { nowMs, openedMs, users, lastUseMs };
};
const keep = (untilMs: number | null, idleUntilMs = untilMs): Decision => ({ name: 'keep', untilMs, idleUntilMs });

describe('whether a forward on demand should be open', () => {
  test.each<readonly [string, DemandState, DemandPlan, Decision]>([
    ['closed, unused', state(5_000, null, 0), IDLE, keep(null)],
    ['closed, and somebody comes', state(5_000, null, 1), IDLE, { name: 'open' }],
    ['open, in use', state(900, 100, 2, 100), FOREVER, keep(null)],
    ['open, in use, with a lifetime', state(900, 100, 1, 100), SHORT, keep(1_100, null)],
    ['open, just left', state(900, 100, 0, 900), IDLE, keep(1_500)],
    ['open, one millisecond before its idle time', state(1_499, 100, 0, 900), IDLE, keep(1_500)],
    ['open, its idle time is over', state(1_500, 100, 0, 900), IDLE, { name: 'close', why: 'idle' }],
    ['open, noticed late', state(9_000, 100, 0, 900), IDLE, { name: 'close', why: 'idle' }],
    ['left, but the lifetime ends first', state(900, 100, 0, 900), SHORT, keep(1_100)],
    ['in use at the end of its lifetime', state(1_100, 100, 3, 900), SHORT, { name: 'close', why: 'lifetime' }],
    ['unused at the end of its lifetime', state(1_100, 100, 0, 900), SHORT, { name: 'close', why: 'lifetime' }],
    ['a use from before it was opened counts for nothing', state(800, 700, 0, 20), IDLE, keep(1_300)],
  ])('%s', (_name, given, rules, decision) => {
    expect(decide(given, rules)).toEqual(decision);
  });
});

/** A need whose releases and closings the test sees. */
function aNeed(rules: DemandPlan | null) {
  const clock = new FakeClock();
  const seen = { needs: 0, closed: [] as string[], changes: 0, clock };
  const carrier = {
    need: () => {
      seen.needs += 1;
      return () => void (seen.needs -= 1);
    },
  };
  const need = new LinkNeed(rules, {
    carrier,
    clock,
    onChange: () => void (seen.changes += 1),
    onClose: (why) => void seen.closed.push(`${why} at ${clock.nowMs()}`),
  });
  return { need, ...{ seen, clock } };
}

describe('the need of a link', () => {
  test('without demand lasts from the listening to the end', () => {
    const { need, seen } = aNeed(null);
    need.begin();
    need.enter()();
    expect([seen.needs, need.open, need.facts]).toEqual([1, true, undefined]);

    need.end();
    need.end();

    expect([seen.needs, need.open]).toEqual([0, false]);
  });

  test('on demand begins with the first client and ends when the last was gone for the idle time', async () => {
    const { need, seen, clock } = aNeed(IDLE);
    need.begin();
    expect([seen.needs, need.facts, clock.pending]).toEqual([0, { open: false, closesAtMs: null }, 0]);

    const [first, second] = [need.enter(), need.enter()];
    await clock.advance(5_000);
    first();
    await clock.advance(5_000);
    expect([seen.needs, need.facts]).toEqual([1, { open: true, closesAtMs: null }]);

    second();
    expect(need.facts).toEqual({ open: true, closesAtMs: clock.wallMs() + 600 });
    await clock.advance(599);
    expect([seen.needs, need.facts?.closesAtMs]).toEqual([1, clock.wallMs() + 1]);
    await clock.advance(1);
    expect([seen, need.facts, clock.pending]).toMatchObject([
      { needs: 0, closed: ['idle at 10600'] },
      { open: false, closesAtMs: null },
      0,
    ]);
  });

  test('is kept by a client who comes in the last moment, and begins anew after it has ended', async () => {
    const { need, seen, clock } = aNeed(IDLE);
    need.enter()();
    await clock.advance(599);
    const leave = need.enter();
    await clock.advance(601);
    expect([seen.needs, seen.closed]).toEqual([1, []]);
    leave();
    await clock.advance(600);
    expect([seen.needs, seen.closed]).toEqual([0, ['idle at 1800']]);

    need.enter();

    expect([seen.needs, need.open]).toEqual([1, true]);
  });

  test('ends with its lifetime though it is in use; who leaves after that counts no more', async () => {
    const { need, seen, clock } = aNeed(SHORT);
    const [early, late] = [need.enter(), need.enter()];
    await clock.advance(1_000);
    expect([seen.needs, seen.closed]).toEqual([0, ['lifetime at 1000']]);

    const again = need.enter();
    early();
    late();
    await clock.advance(999);

    expect([seen.needs, need.facts]).toEqual([1, { open: true, closesAtMs: null }]);
    again();
    await clock.advance(1);
    expect(seen.closed).toEqual(['lifetime at 1000', 'lifetime at 2000']);
  });

  test('holds for any coming and going: open while used, closed in time, never twice, never early', async () => {
    const beat = fc.record({
      afterMs: fc.constantFrom(0, 1, 299, 599, 600, 601, 2_000),
      act: fc.constantFrom('enter', 'leave', 'leave oldest'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(beat, { maxLength: 40 }),
        fc.constantFrom(IDLE, { idleMs: 600, lifetimeMs: 3_000 }),
        async (beats, rules) => {
          const { need, seen, clock } = aNeed(rules);
          let inside: (() => void)[] = [];
          let openedMs = 0;
          let quietSinceMs = 0;
          for (const { afterMs, act } of beats) {
            const closedBefore = seen.closed.length;
            await clock.advance(afterMs);
            const nowMs = clock.nowMs();
            for (const line of seen.closed.slice(closedBefore)) {
              const [why = '', , at = ''] = line.split(' ');
              expect(why === 'idle' ? inside.length : 0).toBe(0);
              expect(Number(at)).toBe(why === 'idle' ? quietSinceMs + 600 : openedMs + 3_000);
              if (why === 'lifetime') inside = [];
            }
            if (need.open && inside.length === 0) expect(nowMs - quietSinceMs).toBeLessThan(600);
            if (inside.length > 0) expect(need.open).toBe(true);
            if (act === 'enter') {
              if (!need.open) openedMs = nowMs;
              inside.push(need.enter());
              expect(need.open).toBe(true);
            } else {
              const leave = act === 'leave' ? inside.pop() : inside.shift();
              leave?.();
              if (leave !== undefined && inside.length === 0) quietSinceMs = nowMs;
            }
            expect(seen.needs).toBe(need.open ? 1 : 0);
          }
          need.end();
          expect([seen.needs, clock.pending]).toEqual([0, 0]);
        },
      ),
      { numRuns: 200 },
    );
  });
});
