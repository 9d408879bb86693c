import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answered, beginLiveness, look, nextLookMs, prove, PROOF_MS } from '../../src/link/liveness.ts';
import type { KeepaliveRules } from '../../src/link/liveness.ts';

const RULES: KeepaliveRules = { intervalMs: 15_000, maxMissed: 3 };

interface Course {
  readonly pingsMs: readonly number[];
  readonly deadMs: number | null;
}

/** Plays a connection on which bytes arrive at the given times, until it is dead or the time is over. */
function play(bytesMs: readonly number[], untilMs: number, rules = RULES, provedFromMs?: number): Course {
  let liveness = beginLiveness(0, 0, rules);
  const pingsMs: number[] = [];
  let proof = provedFromMs;
  for (;;) {
    const nowMs = Math.min(nextLookMs(liveness), proof ?? Infinity);
    if (nowMs > untilMs) return { pingsMs, deadMs: null };
    const received = bytesMs.filter((atMs) => atMs <= nowMs).length;
    const asked = nowMs === proof;
    const next = asked ? prove(liveness, nowMs, received, PROOF_MS) : look(liveness, nowMs, received, rules);
    if (asked) proof = undefined;
    if (next.verdict === 'dead') return { pingsMs, deadMs: nowMs };
    if (next.verdict === 'ping') pingsMs.push(nowMs);
    liveness = next.liveness;
  }
}

describe('a connection without a byte', () => {
  test('is asked at each interval and dead at interval x (maxMissed + 1)', () => {
    expect(play([], 100_000)).toEqual({ pingsMs: [15_000, 30_000, 45_000], deadMs: 60_000 });
  });

  test('gets at least one ping, however few misses are allowed', () => {
    expect(play([], 100_000, { intervalMs: 1_000, maxMissed: 0 })).toEqual({ pingsMs: [1_000], deadMs: 2_000 });
  });

  test('is never asked and never dead where no keepalive is wanted', () => {
    expect(play([], 1e9, { intervalMs: 0, maxMissed: 3 })).toEqual({ pingsMs: [], deadMs: null });
  });
});

test('a quiet connection that answers each ping lives, and costs one look an interval', () => {
  const answers = Array.from({ length: 20 }, (_, index) => (index + 1) * 15_000 + 30);
  const { pingsMs, deadMs } = play(answers, 300_000);
  expect([pingsMs.length, deadMs]).toEqual([20, null]);
});

test('a silent loss is seen within interval x (maxMissed + 1) of the last byte, whenever that came', () => {
  const course = fc.record({
    bytes: fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 20 }),
    intervalMs: fc.integer({ min: 100, max: 20_000 }),
    maxMissed: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(course, ({ bytes, intervalMs, maxMissed }) => {
      let nowMs = 0;
      const patience = intervalMs * maxMissed;
      const bytesMs = bytes.map((gapMs) => (nowMs += Math.min(gapMs, patience - 1)));
      const { deadMs } = play(bytesMs, 1e9, { intervalMs, maxMissed });
      // Dead, after the last byte, and in time: gaps shorter than the patience never end it.
      expect(deadMs).toBeGreaterThan(nowMs);
      expect(deadMs).toBeLessThanOrEqual(nowMs + intervalMs * (maxMissed + 1));
    }),
  );
});

test('a slow path that lets a byte through now and then is not declared dead, though no ping is answered in time', () => {
  const trickle = Array.from({ length: 50 }, (_, index) => index * 44_000 + 1);
  expect(play(trickle, 2_000_000).deadMs).toBeNull();
});

test('a path whose round trip takes 2 s is not declared dead, by the default keepalive or by the proof after a wake', () => {
  const answers = Array.from({ length: 20 }, (_, index) => (index + 1) * 15_000 + 2_000);
  expect(play(answers, 300_000).deadMs).toBeNull();
  expect(play([20_000 + 2_000], 30_000, RULES, 20_000).deadMs).toBeNull();
});

describe('a proof', () => {
  test('sends a ping at once, and no byte within 4 s is death', () => {
    expect(play([], 100_000, RULES, 20_000)).toEqual({ pingsMs: [15_000, 20_000], deadMs: 24_000 });
  });

  test('is given by a byte, once what waited in this machine has been read', () => {
    expect(play([23_999], 60_000, RULES, 20_000).deadMs).toBeNull();
  });

  test.each([19_999, 20_001, 20_999])(
    'is not given by a byte read at %i ms, which may be as old as the sleep',
    (atMs) => {
      expect(play([atMs], 60_000, RULES, 20_000).deadMs).toBe(24_000);
    },
  );

  test('is given at once by the answer to a ping sent since, and not by one to an older ping', () => {
    const asked = prove(beginLiveness(0, 0, RULES), 1_000, 0, PROOF_MS).liveness;
    expect(answered(asked, 999)).toEqual(asked);
    expect(nextLookMs(answered(asked, 1_000))).toBe(15_000);
  });

  test('that is asked for twice is not put off', () => {
    const first = prove(beginLiveness(0, 0, RULES), 1_000, 0, PROOF_MS).liveness;
    const second = prove(first, 3_000, 0, PROOF_MS).liveness;
    expect(second.proof).toEqual({ sinceMs: 1_000, byMs: 1_000 + PROOF_MS, settled: true });
  });

  test('is asked for when a look comes so late that this process cannot have run', () => {
    const late = look(beginLiveness(0, 0, RULES), 3_600_000, 0, RULES);
    expect([late.verdict, late.liveness.proof?.byMs]).toEqual(['ping', 3_600_000 + PROOF_MS]);
  });
});
