import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { LoginBudget, LOGIN_SPACING_MS, UNPROVEN_LIMIT, WINDOW_MS, type TryOutcome } from '../../src/link/budget.ts';
import { FakeClock } from '../support/fake-clock.ts';

const SERVER = 'pop.example.org:22';
let clock: FakeClock;
let budget: LoginBudget;
let grantedMs: number[];

beforeEach(() => {
  clock = new FakeClock();
  budget = new LoginBudget(clock);
  grantedMs = [];
});

/** Takes a turn as soon as there is one, and ends it so after `lastsMs`. */
async function login(
  outcome: TryOutcome | 'open',
  lastsMs = 0,
  signal = new AbortController().signal,
  proven = false,
): Promise<void> {
  const ticket = await budget.acquire(SERVER, signal, proven);
  grantedMs.push(clock.nowMs());
  if (outcome === 'open') return;
  if (lastsMs > 0) await clock.sleep(lastsMs);
  ticket.settle(outcome);
}

/** Lets all of it run to its end. */
async function through(logins: readonly Promise<void>[], forMs = 200_000): Promise<void> {
  await clock.advance(forMs);
  await Promise.all(logins);
}

describe('logins at one server', () => {
  test('come no closer than 1 s, in the order in which they were asked for', async () => {
    await through(Array.from({ length: 4 }, () => login('loggedIn')));
    expect(grantedMs).toEqual([0, 1_000, 2_000, 3_000]);
  });

  test('do not wait for those at another server', async () => {
    await login('loggedIn');
    expect(budget.delayMs('imap.example.org:22')).toBe(0);
    expect(budget.delayMs(SERVER)).toBe(LOGIN_SPACING_MS);
  });

  test('that fail are at most 6 in 30 s', async () => {
    await through(Array.from({ length: 8 }, () => login('failed')));
    expect(grantedMs).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000, 30_000, 31_000]);
  });

  test('that are refused never earn the 15 s of penalty at which sshd bars an address (5 s each, running off)', async () => {
    await through(Array.from({ length: 6 }, () => login('refused')));
    let penaltyMs = 0;
    const most = grantedMs.map((atMs, index) => {
      penaltyMs = Math.max(0, penaltyMs - (atMs - (grantedMs[index - 1] ?? 0))) + 5_000;
      return penaltyMs;
    });
    expect(Math.max(...most)).toBeLessThan(15_000);
    expect(grantedMs).toEqual([0, 1_000, 2_000, 7_000, 12_000, 17_000]);
  });

  test('that are still under way count as failed until they end', async () => {
    await through(Array.from({ length: 7 }, () => login('open')));
    expect(grantedMs.at(-1)).toBe(WINDOW_MS);
  });

  test('that succeed after a while make room at once for who waits', async () => {
    await through(Array.from({ length: 7 }, () => login('loggedIn', 8_000)));
    expect(grantedMs.at(-1)).toBe(8_000);
  });

  test('that the server cannot have seen cost nothing', async () => {
    for (let tries = 0; tries < 20; tries += 1) await login('unseen');
    expect(grantedMs).toEqual(Array.from({ length: 20 }, () => 0));
  });
});

describe('the first try for a link that was up', () => {
  const again = (): Promise<void> => login('loggedIn', 0, new AbortController().signal, true);

  test('may follow a login at once, the next one keeps the pace of one a second', async () => {
    await login('loggedIn');
    await clock.advance(200);
    await again();
    expect(budget.delayMs(SERVER, true)).toBe(800);
    await through([again(), login('loggedIn'), again()]);
    expect(grantedMs).toEqual([0, 200, 1_000, 2_000, 3_000]);
  });

  test('keeps its distance from a try that failed', async () => {
    await login('failed');
    await through([again()]);
    expect(grantedMs).toEqual([0, 1_000]);
  });

  test('of many links at one server is at once for one of them', async () => {
    await login('loggedIn');
    await clock.advance(60_000);
    await through(Array.from({ length: 4 }, again));
    expect(grantedMs).toEqual([0, 60_000, 60_000, 61_000, 62_000]);
  });
});

test('who gives up while waiting gets its own reason, and leaves its place to the next', async () => {
  const reason = new Error('no more');
  const leaver = new AbortController();
  await login('loggedIn');
  const left = login('loggedIn', 0, leaver.signal);
  const next = login('loggedIn');
  leaver.abort(reason);
  await expect(left).rejects.toBe(reason);
  await through([next]);
  expect(grantedMs).toEqual([0, 1_000]);
});

test('who gives up before it began is not let in', async () => {
  const reason = new Error('no more');
  await expect(budget.acquire(SERVER, AbortSignal.abort(reason))).rejects.toBe(reason);
});

test('nothing ticks while nobody waits', async () => {
  await login('loggedIn');
  expect(clock.pending).toBe(0);
});

test('whatever is asked, no 30 s see more than 6 tries without a login, and no second two that the server saw but the first for a link that was up', async () => {
  const attempt = fc.record({
    proven: fc.boolean(),
    afterMs: fc.integer({ min: 0, max: 4_000 }),
    lastsMs: fc.integer({ min: 0, max: 12_000 }),
    outcome: fc.constantFrom<TryOutcome>('loggedIn', 'failed', 'failed', 'unseen'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(attempt, { maxLength: 25 }), async (attempts) => {
      const time = new FakeClock();
      const shared = new LoginBudget(time);
      const seen: { startMs: number; outcome: TryOutcome; proven: boolean }[] = [];
      const all = attempts.map(async ({ afterMs, lastsMs, outcome, proven }, index) => {
        await time.sleep(index * afterMs);
        const ticket = await shared.acquire(SERVER, new AbortController().signal, proven);
        seen.push({ startMs: time.nowMs(), outcome, proven });
        await time.sleep(lastsMs);
        ticket.settle(outcome);
      });
      await time.advance(1_000_000);
      await Promise.all(all);
      const visible = seen.filter(({ outcome }) => outcome !== 'unseen');
      const failed = seen.filter(({ outcome }) => outcome === 'failed');
      visible.slice(1).forEach(({ startMs, proven }, index) => {
        if (proven && visible[index]?.outcome === 'loggedIn') return;
        expect(startMs - (visible[index]?.startMs ?? 0)).toBeGreaterThanOrEqual(LOGIN_SPACING_MS);
      });
      visible.forEach(({ startMs }, index) => {
        const within = visible.slice(index).filter((other) => other.startMs < startMs + 10 * LOGIN_SPACING_MS);
        expect(within.length).toBeLessThanOrEqual(11);
      });
      failed.slice(UNPROVEN_LIMIT).forEach(({ startMs }, index) => {
        expect(startMs - (failed[index]?.startMs ?? 0)).toBeGreaterThanOrEqual(WINDOW_MS);
      });
    }),
    { numRuns: 40 },
  );
});
