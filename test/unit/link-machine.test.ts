import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AT_ONCE_JITTER_MS, backoffDelayMs } from '../../src/link/backoff.ts';
import { NEW_LINK, REFUSED_RETRY_MS, STABLE_AFTER_MS, step } from '../../src/link/machine.ts';
import type { LinkEffect, LinkEvent, LinkRules, LinkState } from '../../src/link/machine.ts';
import { TunnelError } from '../../src/model/failure.ts';

const RULES: LinkRules = { initialMs: 500, maxMs: 30_000, giveUpAfterMs: null };
const reset = new TunnelError('CONNECTION_LOST', 'Cannot keep the connection: reset');
const unreachable = new TunnelError('UNREACHABLE', 'Cannot connect: no route');
const refused = new TunnelError('LOGIN_REFUSED', 'Cannot log in: refused');
const changed = new TunnelError('HOST_KEY_CHANGED', 'Cannot trust the host: its key changed');
const person = new TunnelError('NEEDS_PERSON', 'Cannot log in: nobody to ask');

type Beat = readonly [atMs: number, event: LinkEvent];
const start: LinkEvent = { name: 'start' };
const lost = (reason: TunnelError): LinkEvent => ({ name: 'lost', reason });
const rising: readonly Beat[] = [
  [0, start],
  [50, { name: 'trusted' }],
  [90, { name: 'authenticated' }],
];

/** Plays the beats in order, without jitter, and returns the state in which the link ends and all effects. */
function play(beats: readonly Beat[], rules = RULES): { state: LinkState; effects: readonly LinkEffect[] } {
  let state = NEW_LINK;
  const effects: LinkEffect[] = [];
  for (const [nowMs, event] of beats) {
    const next = step(state, event, { nowMs, draw: 0 }, rules);
    state = next.state;
    effects.push(...next.effects);
  }
  return { state, effects };
}

/** Milliseconds from the last beat to the dial that it leads to; undefined where none follows by itself. */
function nextDialIn(beats: readonly Beat[], rules = RULES): number | undefined {
  const { state } = play(beats, rules);
  return state.name === 'backoff' ? state.untilMs - (beats.at(-1)?.[0] ?? 0) : undefined;
}

describe('the way up', () => {
  test('a need dials, a trusted host key begins the login, a login is up', () => {
    const names = [1, 2, 3].map((beats) => play(rising.slice(0, beats)).state.name);
    expect(names).toEqual(['connecting', 'authenticating', 'up']);
    expect(play(rising).effects).toEqual(['dial', 'watch']);
  });

  test('a second need while it is under way dials no second time', () => {
    expect(play([...rising, [100, start]]).effects).toEqual(['dial', 'watch']);
  });
});

describe('coming back', () => {
  test('a link that was up tries at once when it is lost', () => {
    expect(nextDialIn([...rising, [60_000, lost(reset)]])).toBe(0);
  });

  test('the jitter of the try at once stays below its bound', () => {
    const { state } = play(rising);
    const next = step(state, lost(reset), { nowMs: 60_000, draw: 0.999 }, RULES).state;
    expect(next.name === 'backoff' && next.untilMs - 60_000 <= AT_ONCE_JITTER_MS).toBe(true);
  });

  test('after the try at once the delay goes from initial, doubled, to max', () => {
    const beats: Beat[] = [...rising, [60_000, lost(reset)]];
    const delays: (number | undefined)[] = [];
    for (let nowMs = 60_000, tries = 0; tries < 9; tries += 1) {
      const delayMs = nextDialIn(beats);
      delays.push(delayMs);
      nowMs += delayMs ?? 0;
      beats.push([nowMs, { name: 'delayElapsed' }], [nowMs, lost(unreachable)]);
    }
    expect(delays).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  test('the first dial of all that fails waits from initial on', () => {
    expect(
      nextDialIn([
        [0, start],
        [10, lost(unreachable)],
      ]),
    ).toBe(500);
  });

  test('a login that does not hold keeps the delay growing, so that a server which drops us is left in peace', () => {
    const beats: Beat[] = [...rising];
    const delays: (number | undefined)[] = [];
    for (let nowMs = 1_000, flaps = 0; flaps < 5; flaps += 1) {
      beats.push([nowMs, lost(reset)]);
      const delayMs = nextDialIn(beats) ?? 0;
      delays.push(delayMs);
      nowMs += delayMs;
      beats.push([nowMs, { name: 'delayElapsed' }], [nowMs, { name: 'authenticated' }]);
      nowMs += 1_000;
    }
    expect(delays).toEqual([0, 500, 1_000, 2_000, 4_000]);
  });

  test('a login that holds clears the delay', () => {
    const beats: Beat[] = [
      ...rising,
      [1_000, lost(reset)],
      [1_000, { name: 'delayElapsed' }],
      [1_100, { name: 'authenticated' }],
      [1_100 + STABLE_AFTER_MS, lost(reset)],
    ];
    expect(nextDialIn(beats)).toBe(0);
  });

  test('a timer that fires early is armed again and dials nothing', () => {
    const early: readonly Beat[] = [
      [0, start],
      [10, lost(unreachable)],
      [509, { name: 'delayElapsed' }],
    ];
    expect(play(early).effects).toEqual(['dial', 'armDelay', 'armDelay']);
  });

  test('giveUpAfter counts from the loss, gives one last try at its end, then fails', () => {
    const rules = { ...RULES, giveUpAfterMs: 1_200 };
    const beats: Beat[] = [
      [0, start],
      [10, lost(unreachable)],
      [510, { name: 'delayElapsed' }],
      [520, lost(unreachable)],
    ];
    expect(nextDialIn(beats, rules)).toBe(680);
    beats.push([1_200, { name: 'delayElapsed' }], [1_210, lost(unreachable)]);
    expect(play(beats, rules).state).toMatchObject({ name: 'failed', reason: unreachable });
  });
});

describe('haste', () => {
  const waiting: readonly Beat[] = [
    [0, start],
    [10, lost(unreachable)],
    [510, { name: 'delayElapsed' }],
    [520, lost(unreachable)],
    [1_520, { name: 'delayElapsed' }],
    [1_530, lost(unreachable)], // 2 s from here
  ];

  test.each(['hurry', 'wake'] as const)('%s cuts a wait short to initial, and not below', (name) => {
    expect(nextDialIn([...waiting, [1_530, { name }]])).toBe(500);
    expect(nextDialIn([...waiting, [1_930, { name }]])).toBe(100);
  });

  test('haste never makes a wait longer', () => {
    expect(nextDialIn([...waiting, [3_500, { name: 'hurry' }]])).toBe(-1_470); // due since: the timer fires at once
    expect(nextDialIn([...rising, [60_000, lost(reset)], [60_000, { name: 'hurry' }]])).toBe(0);
  });

  test('after a wake the delays begin anew, since the network is another', () => {
    const beats: readonly Beat[] = [...waiting, [1_600, { name: 'wake' }], [2_030, { name: 'delayElapsed' }]];
    expect(nextDialIn([...beats, [2_040, lost(unreachable)]])).toBe(500);
  });

  test('a wake in the middle of a dial shortens the wait after it too', () => {
    const dialling: readonly Beat[] = [...waiting, [3_530, { name: 'delayElapsed' }]];
    expect(nextDialIn([...dialling, [9_000, lost(unreachable)]])).toBe(4_000);
    expect(nextDialIn([...dialling, [8_000, { name: 'wake' }], [9_000, lost(unreachable)]])).toBe(500);
  });
});

describe('what only a person heals', () => {
  test('a refused first login is final at once', () => {
    expect(
      play([
        [0, start],
        [90, lost(refused)],
      ]).state,
    ).toMatchObject({ name: 'failed', reason: refused });
  });

  test('a login refused to a link that was logged in gets one more try 10 s later, then it is final', () => {
    const once: readonly Beat[] = [
      ...rising,
      [60_000, lost(reset)],
      [60_000, { name: 'delayElapsed' }],
      [60_100, lost(refused)],
    ];
    expect(nextDialIn(once)).toBe(REFUSED_RETRY_MS);
    expect(nextDialIn([...once, [60_100, { name: 'hurry' }]])).toBe(REFUSED_RETRY_MS);
    const twice: readonly Beat[] = [...once, [70_100, { name: 'delayElapsed' }], [70_200, lost(refused)]];
    expect(play(twice).state).toMatchObject({ name: 'failed', reason: refused });
  });

  test('resting between the two tries of a refused login brings no third one, and none earlier', () => {
    const rested: readonly Beat[] = [
      ...rising,
      [60_000, lost(reset)],
      [60_000, { name: 'delayElapsed' }],
      [60_100, lost(refused)],
      [61_000, { name: 'rest' }],
      [62_000, start],
    ];
    expect(play(rested).state).toMatchObject({ name: 'backoff', untilMs: 70_100 });
    const after: readonly Beat[] = [...rested, [70_100, { name: 'delayElapsed' }], [70_200, lost(refused)]];
    expect(play(after).state.name).toBe('failed');
  });

  test('a changed host key is final at once, also for a link that was up', () => {
    const beats: readonly Beat[] = [
      ...rising,
      [60_000, lost(reset)],
      [60_000, { name: 'delayElapsed' }],
      [60_050, lost(changed)],
    ];
    expect(play(beats).state).toMatchObject({ name: 'failed', reason: changed });
  });

  test('a login that needs a person waits for one, whatever else happens', () => {
    const stuck: readonly Beat[] = [
      [0, start],
      [90, lost(person)],
    ];
    const noise: readonly Beat[] = (['start', 'hurry', 'wake', 'delayElapsed', 'rest', 'start'] as const).map(
      (name) => [200, { name }],
    );
    expect(play([...stuck, ...noise]).state).toMatchObject({ name: 'waiting', reason: person, needed: true });
  });

  test.each([
    [
      'failed',
      [
        [0, start],
        [90, lost(refused)],
      ],
    ],
    [
      'waiting',
      [
        [0, start],
        [90, lost(person)],
      ],
    ],
    [
      'backoff',
      [
        [0, start],
        [90, lost(unreachable)],
      ],
    ],
  ] as const)('a retry by a person leaves %s and forgets the error', (name, beats) => {
    expect(play(beats).state.name).toBe(name);
    const { state } = play([...beats, [100, { name: 'retry' }]]);
    expect(state).toMatchObject({ name: 'connecting', life: { reason: null } });
  });

  test('a retry of a link that nobody needs dials only once somebody does', () => {
    const beats: readonly Beat[] = [
      [0, start],
      [90, lost(refused)],
      [100, { name: 'rest' }],
      [110, { name: 'retry' }],
    ];
    expect(play(beats).state.name).toBe('idle');
    expect(play([...beats, [120, start]]).state.name).toBe('connecting');
  });
});

describe('the end', () => {
  test('a rest hangs up and is idle once the connection is gone', () => {
    expect(play([...rising, [100, { name: 'rest' }]]).state.name).toBe('closing');
    expect(play([...rising, [100, { name: 'rest' }], [110, lost(reset)]]).state.name).toBe('idle');
  });

  test('a need that comes while it hangs up dials after the old connection is gone', () => {
    const beats: readonly Beat[] = [...rising, [100, { name: 'rest' }], [105, start]];
    expect(play(beats).effects).toEqual(['dial', 'watch', 'unwatch', 'hangUp']);
    expect(play([...beats, [110, lost(reset)]]).effects.at(-1)).toBe('dial');
  });

  test('a closed link ignores what its dying socket still reports', () => {
    const beats: readonly Beat[] = [
      ...rising,
      [100, { name: 'stop' }],
      [101, lost(reset)],
      [102, lost(reset)],
      [103, start],
    ];
    expect(play(beats).state).toEqual({ name: 'closed' });
  });
});

describe('any sequence of events', () => {
  const reasons = [reset, unreachable, refused, changed, person];
  const event: fc.Arbitrary<LinkEvent> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.constantFrom<LinkEvent>(
        start,
        { name: 'trusted' },
        { name: 'authenticated' },
        { name: 'delayElapsed' },
      ),
    },
    { weight: 6, arbitrary: fc.constantFrom(...reasons).map(lost) },
    { weight: 3, arbitrary: fc.constantFrom<LinkEvent>({ name: 'hurry' }, { name: 'wake' }, { name: 'rest' }) },
    { weight: 1, arbitrary: fc.constantFrom<LinkEvent>({ name: 'retry' }, { name: 'stop' }) },
  );
  const beat = fc.record({
    afterMs: fc.constantFrom(0, 1, 99, 500, 1_000, 10_000, 31_000),
    event,
    draw: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });

  interface Seen {
    readonly before: LinkState;
    readonly event: LinkEvent;
    readonly nowMs: number;
    readonly state: LinkState;
    readonly effects: readonly LinkEffect[];
  }

  /** Plays what fast-check made up; an `authenticated` or `trusted` comes only from a dial that is under way, as in life. */
  function run(beats: readonly { afterMs: number; event: LinkEvent; draw: number }[]): readonly Seen[] {
    let nowMs = 0;
    let before = NEW_LINK;
    return beats.map(({ afterMs, event, draw }) => {
      nowMs += afterMs;
      const { state, effects } = step(before, event, { nowMs, draw }, RULES);
      const seen = { before, event, nowMs, state, effects };
      before = state;
      return seen;
    });
  }

  const property = (check: (seen: readonly Seen[]) => void): void =>
    fc.assert(
      fc.property(fc.array(beat, { maxLength: 60 }), (beats) => check(run(beats))),
      { numRuns: 500 },
    );

  test('never leads from closed to anything, nor from failed or waiting to a dial without a person', () => {
    property((seen) => {
      for (const { before, event, state, effects } of seen) {
        if (before.name === 'closed') expect([state.name, effects]).toEqual(['closed', []]);
        const stuck = before.name === 'failed' || before.name === 'waiting';
        if (stuck && event.name !== 'retry' && event.name !== 'stop')
          expect([state.name, effects]).toEqual([before.name, []]);
      }
    });
  });

  test('never has two dials or connections at once', () => {
    property((seen) => {
      let busy = false;
      for (const { event, effects } of seen) {
        if (event.name === 'lost') busy = false;
        for (const effect of effects) {
          if (effect === 'dial') expect(busy).toBe(false);
          if (effect === 'dial') busy = true;
        }
      }
    });
  });

  test('hangs up only what is there, and leaves nothing there when it is idle, stuck or closed', () => {
    property((seen) => {
      let busy = false;
      for (const { event, state, effects } of seen) {
        if (event.name === 'lost') busy = false;
        if (effects.includes('dial')) busy = true;
        if (effects.includes('hangUp')) expect(busy).toBe(true);
        const quiet = ['idle', 'backoff', 'waiting', 'failed', 'closed'].includes(state.name);
        if (quiet) expect(busy).toBe(false);
      }
    });
  });

  test('arms a timer exactly while it backs off', () => {
    property((seen) => {
      let armed = false;
      for (const { event, state, effects } of seen) {
        if (event.name === 'delayElapsed') armed = false; // it fired, early or in time
        for (const effect of effects) {
          if (effect === 'armDelay') armed = true;
          if (effect === 'dropDelay') armed = false;
        }
        if (event.name !== 'delayElapsed' || state.name === 'backoff') expect(armed).toBe(state.name === 'backoff');
      }
    });
  });

  test('never tries a refused login a third time, nor a second time within 10 s, unless a person asks or a login succeeds', () => {
    property((seen) => {
      let refusals = 0;
      let refusedAtMs = -Infinity;
      for (const { before, event, nowMs, state, effects } of seen) {
        if (event.name === 'retry' || (event.name === 'authenticated' && state.name === 'up')) refusals = 0;
        if (effects.includes('dial') && refusals > 0) {
          expect(refusals).toBe(1);
          expect(nowMs - refusedAtMs).toBeGreaterThanOrEqual(REFUSED_RETRY_MS);
        }
        const dialling = before.name === 'connecting' || before.name === 'authenticating';
        if (dialling && event.name === 'lost' && event.reason === refused) {
          refusals += 1;
          refusedAtMs = nowMs;
        }
      }
    });
  });

  test('never waits longer than max, or than a refused login has to', () => {
    property((seen) => {
      for (const { nowMs, state } of seen) {
        if (state.name !== 'backoff') continue;
        expect(state.untilMs - nowMs).toBeLessThanOrEqual(state.reason === refused ? REFUSED_RETRY_MS : RULES.maxMs);
      }
    });
  });

  test('after the first try at once, dials come no closer than half of initial', () => {
    property((seen) => {
      let failedAtMs: number | null = null;
      for (const { before, event, nowMs, effects } of seen) {
        const asked = event.name === 'retry';
        if (effects.includes('dial') && failedAtMs !== null && !asked) {
          expect(nowMs - failedAtMs).toBeGreaterThanOrEqual(RULES.initialMs / 2);
        }
        if (asked || effects.includes('dial')) failedAtMs = null;
        const dialling = before.name === 'connecting' || before.name === 'authenticating';
        if (dialling && event.name === 'lost') failedAtMs = nowMs;
      }
    });
  });
});

describe('backoffDelayMs', () => {
  test.each([
    [1, 0, 500],
    [1, 0.5, 375],
    [2, 0, 1_000],
    [7, 0, 30_000],
    [5_000, 0, 30_000],
    [5_000, 0.999, 15_015],
  ])('after %i losses and a draw of %d it waits %i ms', (losses, draw, delayMs) => {
    expect(backoffDelayMs(losses, RULES, draw)).toBe(delayMs);
  });
});
