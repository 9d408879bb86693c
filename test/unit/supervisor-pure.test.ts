import { describe, expect, test } from 'vitest';
import { TunnelError } from '../../src/model/failure.ts';
import type { Plan } from '../../src/model/plan.ts';
import type { StatusEvent } from '../../src/model/status.ts';
import { Journal } from '../../src/supervisor/journal.ts';
import { reconcile, sameLink, samePlan } from '../../src/supervisor/reconcile.ts';
import { resolveAll } from '../../src/supervisor/resolving.ts';
import { wantedTunnel } from '../../src/supervisor/selection.ts';
import { WakeWatch } from '../../src/supervisor/wake.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aForward, aHop, aTunnelPlan } from '../support/supervisor-parts.ts';

const SERVER = aHop({ port: 22 });

describe('reconcile', () => {
  test('sorts each name into what is to be done with it', () => {
    const running = new Map([['a', 1], ['b', 2], ['c', 3]]); // prettier-ignore
    const wanted = new Map([['d', 4], ['c', 9], ['b', 2]]); // prettier-ignore
    const sorted = reconcile(running, wanted, (one, other) => one === other);
    expect(sorted).toEqual({ start: ['d'], stop: ['a'], keep: ['b'], change: ['c'] });
  });

  test.each<readonly [string, Partial<Plan>, boolean, boolean]>([
    ['nothing', {}, true, true],
    ['a forward', { forwards: [aForward(1110), aForward(1143)] }, false, true],
    ['the description', { description: 'mail' }, false, true],
    ['limits', { limits: { connections: 5, perClient: 1 } }, false, true],
    ['the server', { hops: [aHop({ port: 2222 })] }, false, false],
    ['keepalive', { keepalive: { intervalMs: 1, maxMissed: 1 } }, false, false],
    ['its naming, by name or by path', { hops: [{ ...SERVER, trustedAs: 'mail' }] }, true, true],
    // A reload from `hold` to `refuse` was heard by new forwards and not by the link that holds connections for them.
    ['hold or refuse', { whileDown: { hold: false, holdMs: 15_000, queue: 256 } }, false, false],
  ])('a change of %s is told from one of the link', (_what, change, plan, link) => {
    const before = aTunnelPlan({ name: 'mail', hops: [SERVER] });
    const after = { ...before, ...change };
    expect([samePlan(before, after), sameLink(before, after)]).toEqual([plan, link]);
  });
});

describe('what a person names', () => {
  test('a path is kept absolute, a name with the place it is looked up from', () => {
    expect([wantedTunnel('mail', 'sub/mail.yaml', '/home/ada'), wantedTunnel('mail', 'mail', '/home/ada')]).toEqual([
      { name: 'mail', profile: '/home/ada/sub/mail.yaml', cwd: '/home/ada' },
      { name: 'mail', profile: 'mail', cwd: '/home/ada' },
    ]);
  });
});

describe('resolving several profiles', () => {
  const profiles = new Map(
    [
      aTunnelPlan({ name: 'vpn' }),
      aTunnelPlan({ name: 'mail', after: ['vpn'] }),
      aTunnelPlan({ name: 'web', after: ['mail', 'vpn'] }),
      aTunnelPlan({ name: 'egg', after: ['hen'] }),
      aTunnelPlan({ name: 'hen', after: ['egg'] }),
    ].map((plan) => [plan.name, plan]),
  );
  const bad = new TunnelError('PROFILE_INVALID', 'Cannot read bad.yaml', {
    problems: [{ file: 'bad.yaml', line: 1, column: 2, message: 'what is this' }],
  });
  const resolve = (name: string): Promise<Plan> => {
    const plan = profiles.get(name);
    if (name === 'bad') return Promise.reject(bad);
    return plan ? Promise.resolve(plan) : Promise.reject(new TunnelError('PROFILE_NOT_FOUND', `Cannot find ${name}`));
  };
  const order = async (names: readonly string[], running: readonly string[] = []): Promise<unknown> => {
    try {
      const wishes = await resolveAll(resolve, names, { cwd: '/' }, (name) => running.includes(name));
      return wishes.map(({ plan }) => plan.name);
    } catch (error) {
      return error instanceof TunnelError ? [error.code, error.message, error.problems.length] : error;
    }
  };

  test('those that come first stand first, each once', async () => {
    expect(await order(['web', 'mail'])).toEqual(['vpn', 'mail', 'web']);
  });

  test('those that run already are not started again', async () => {
    expect(await order(['web'], ['mail', 'vpn'])).toEqual(['web']);
  });

  test('all that is wrong is told at once, and the first decides', async () => {
    expect(await order(['vpn', 'gone', 'bad'])).toEqual([
      'PROFILE_NOT_FOUND',
      'Cannot find gone; Cannot read bad.yaml',
      1,
    ]);
  });

  test('a circle is refused', async () => {
    expect(await order(['hen'])).toEqual([
      'PROFILE_INVALID',
      'Cannot order hen after egg after hen: they go in a circle',
      0,
    ]);
  });
});

describe('the wake watch', () => {
  async function watch(happens: (clock: FakeClock, network: { now: string }) => void): Promise<readonly string[]> {
    const clock = new FakeClock();
    const network = { now: 'eth0' };
    const woke: string[] = [];
    const watch = new WakeWatch(
      clock,
      () => network.now,
      (why) => woke.push(why),
    );
    watch.start();
    await clock.advance(3_000);
    happens(clock, network);
    await clock.advance(3_000);
    watch.stop();
    expect(clock.pending).toBe(0);
    return woke;
  }

  test('stays silent while nothing happens', async () => {
    expect(await watch(() => undefined)).toEqual([]);
  });

  test('notices that the wall clock ran on while the other stood', async () => {
    expect(await watch((clock) => clock.jumpWall(60_000))).toEqual(['slept']);
  });

  test('notices another network, once', async () => {
    expect(await watch((_clock, network) => (network.now = 'wlan0'))).toEqual(['network']);
  });
});

describe('the journal', () => {
  test('keeps the last events of each tunnel apart', () => {
    const journal = new Journal(2);
    const note = (tunnel: string | null, message: string): StatusEvent => {
      return { event: 'note', at: '', tunnel, level: 'info', message };
    };
    for (const message of ['1', '2', '3']) journal.add(note('mail', message));
    journal.add(note(null, 'general'));
    expect([journal.of('mail'), journal.of(null), journal.of('web')]).toEqual([
      [note('mail', '2'), note('mail', '3')],
      [note(null, 'general')],
      [],
    ]);
  });
});
