import { describe, expect, test } from 'vitest';
import { settle } from '../support/fake-clock.ts';
import { REFUSED, ScriptedRouter, SILENT } from '../support/scripted-router.ts';
import { doubleNat } from '../../src/router/double-nat.ts';
import { askAgainMs, renewalDueMs, routerRestarted } from '../../src/router/lease.ts';

const [MINUTE, HOUR] = [60_000, 3_600_000];

describe('a lease', () => {
  test('is asked for again at half its life, then at three quarters, and so on, until too little is left', () => {
    const hour = [0, 1, 2, 3, 9, 10].map((tries) => renewalDueMs(HOUR, tries, 0));
    expect(hour).toEqual([HOUR / 2, (HOUR * 3) / 4, (HOUR * 7) / 8, (HOUR * 15) / 16, undefined, undefined]);
    expect(renewalDueMs(HOUR, 0, 0.999)).toBeLessThan((HOUR * 5) / 8);
    expect(renewalDueMs(2_000, 0, 0)).toBe(1_000);
  });
  test('that was refused is asked for later and later, and never more rarely than every ten minutes', () => {
    expect([1, 2, 3, 7, 50].map((failures) => askAgainMs(failures, 0))).toEqual([
      10_000,
      20_000,
      40_000,
      10 * MINUTE,
      10 * MINUTE,
    ]);
  });
});

test.each([
  ['goes on as ours', 100, 160, 60_000, false],
  ['is a little slow', 100, 157, 60_000, false],
  ['begins anew', 100, 3, 60_000, true],
  ['went back by a second, as rounding does', 100, 99, 100, false],
  ['runs far ahead', 100, 300, 60_000, true],
  ['stood still for long', 100, 101, 60_000, true],
])('a router whose clock %s has restarted or not', (_what, was, is, passedMs, restarted) => {
  expect(routerRestarted({ atMs: 0, epochSeconds: was }, { atMs: passedMs, epochSeconds: is })).toBe(restarted);
});

test.each([
  ['12.34.56.78', undefined],
  ['192.168.1.5', 'double NAT'],
  ['100.64.3.4', 'carrier-grade NAT'],
])('a mapping at %s: %s', (host, what) => {
  const error = doubleNat(host, '192.168.7.1');
  expect(error === null ? undefined : /\((.*)\)$/.exec(error.message)?.[1]).toBe(what);
  expect(error?.hint ?? 'none').not.toBe('');
});

test('a mapping tells the address and port that the router really granted', async () => {
  const router = new ScriptedRouter();
  router.otherPort = 81;

  const kept = router.keep();
  await settle();

  expect(kept.facts).toEqual({
    state: 'mapped',
    way: 'PCP',
    router: '192.168.7.1',
    external: { host: '12.34.56.78', port: 81 },
    expiresAtMs: router.clock.wallMs() + 2 * HOUR,
    error: null,
  });
  expect(router.notes).toEqual([
    'info The router 192.168.7.1 leads 12.34.56.78:81 (TCP) to port 8080 here, by PCP, for 2h at a time',
    'warn The router granted port 81 in place of 80, which is taken there or not allowed',
  ]);
});

test('it is renewed at half its life, without a word', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await router.clock.advance(HOUR - 1);
  expect(router.asked.filter((one) => one !== 'look')).toEqual(['map 80']);

  await router.clock.advance(1);

  expect(router.asked.filter((one) => one !== 'look')).toEqual(['map 80', 'map 80']);
  expect(kept.facts.expiresAtMs).toBe(router.clock.wallMs() + 2 * HOUR);
  expect(router.notes).toHaveLength(1);
});

test('it counts until its lease ends when renewing fails, and is asked for for ever after that', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();
  router.refuses = SILENT;

  await router.clock.advance(2 * HOUR - 1);
  expect(kept.facts.state).toBe('mapped');
  await router.clock.advance(1);
  expect(kept.facts).toMatchObject({ state: 'failed', external: null, expiresAtMs: null });
  router.refuses = undefined;
  await router.clock.advance(10 * MINUTE);

  expect(kept.facts).toMatchObject({ state: 'mapped', error: null });
  expect(router.notes.filter((note) => note.startsWith('warn Not renewed yet'))).toHaveLength(1);
});

test('a router that refuses is told once, asked again, and believed when it changes its mind', async () => {
  const router = new ScriptedRouter();
  router.refuses = REFUSED;
  const kept = router.keep();
  await router.clock.advance(15 * MINUTE);
  expect(kept.facts).toMatchObject({ state: 'failed', error: { code: 'ROUTER_REFUSED' } });
  expect(router.notes).toEqual([`warn ${REFUSED.message}`]);

  router.refuses = undefined;
  await router.clock.advance(10 * MINUTE);

  expect(kept.facts).toMatchObject({ state: 'mapped', error: null });
});

test('a router that restarted is asked for the same port again, within a minute', async () => {
  const router = new ScriptedRouter();
  router.otherPort = 81;
  const kept = router.keep();
  await router.clock.advance(10 * MINUTE);
  router.restart();
  router.otherPort = undefined;
  router.asked.length = 0;

  await router.clock.advance(MINUTE);

  expect(router.asked).toEqual(['look', 'map 81']); // the one that people know by now
  expect(kept.facts).toMatchObject({ state: 'mapped', external: { port: 81 } });
  expect(router.notes).toContain('warn The router 192.168.7.1 has forgotten the mapping: asking for it again');
});

test('a router whose list lacks the mapping is asked for it again', async () => {
  const router = new ScriptedRouter();
  router.keep();
  await settle();
  router.held = false;
  router.asked.length = 0;

  await router.clock.advance(MINUTE);

  expect(router.asked).toEqual(['look', 'map 80']);
});

test('another address of the router is told as soon as it is seen', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();
  router.host = '12.34.56.99';

  await router.clock.advance(MINUTE);

  expect(kept.facts.external).toEqual({ host: '12.34.56.99', port: 80 });
});

test('on another network another router is asked at once, for the port that was wished for', async () => {
  const router = new ScriptedRouter();
  router.otherPort = 81;
  const kept = router.keep();
  await settle();
  router.asked.length = 0;
  router.gateway = { address: '10.0.0.1', local: '10.0.0.2' };
  router.otherPort = undefined;

  kept.networkChanged();
  await settle();

  expect(router.asked).toEqual(['map 80']);
  expect(kept.facts).toMatchObject({ state: 'mapped', router: '10.0.0.1', external: { port: 80 } });
});

test('a network that is gone is a mapping that is gone, until it is back', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();
  const { gateway } = router;
  router.gateway = undefined;
  kept.networkChanged();
  await settle();
  expect(kept.facts).toMatchObject({ state: 'failed', error: { code: 'ROUTER_NOT_FOUND' } });

  router.gateway = gateway;
  kept.networkChanged();
  await settle();

  expect(kept.facts.state).toBe('mapped');
});

test('a change that leaves router and address as they were asks only how the mapping is', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();
  router.asked.length = 0;

  kept.networkChanged();
  await settle();

  expect(router.asked).toEqual(['look']);
});

test('a private address of the router is a mapping in vain, with what to do', async () => {
  const router = new ScriptedRouter();
  router.host = '192.168.1.7';

  const kept = router.keep();
  await settle();

  expect(kept.facts).toMatchObject({ state: 'double-nat', external: { host: '192.168.1.7' } });
  expect(kept.facts.error?.code).toBe('ROUTER_NOT_PUBLIC');
  expect(kept.facts.error?.hint).toContain('outer router');
});

test('closing gives it back, and nothing is asked afterwards', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();

  await Promise.all([kept.close(), kept.close()]);

  expect(router.asked).toEqual(['map 80', 'unmap 80']);
  expect(router.clock.pending).toBe(0);
});

test('leaving keeps it in the router, and nothing is asked afterwards', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();

  await kept.leave();
  await kept.close();

  expect(router.asked).toEqual(['map 80']);
  expect(router.clock.pending).toBe(0);
});

test('what is granted while it closes is given back too', async () => {
  const router = new ScriptedRouter();
  let open = (): void => undefined;
  router.gate = new Promise((resolve) => (open = resolve));
  const kept = router.keep();
  await settle();

  const closed = kept.close();
  open();
  await closed;

  expect(router.asked).toEqual(['map 80', 'unmap 80']);
  expect(router.clock.pending).toBe(0);
});

test('the next mapping of a port waits until the one before is given back', async () => {
  const router = new ScriptedRouter();
  const first = router.keep();
  await settle();

  void first.close();
  router.keep();
  await settle();

  expect(router.asked).toEqual(['map 80', 'unmap 80', 'map 80']);
});

test('a port that another mapping of ours has is not taken away from it', async () => {
  const router = new ScriptedRouter();
  const first = router.keep();
  const second = router.keep({}, 8081);
  await settle();
  expect(second.facts).toMatchObject({ state: 'failed', error: { code: 'ROUTER_REFUSED' } });
  expect(router.asked).toEqual(['map 80']);

  await first.close();
  await router.clock.advance(MINUTE);

  expect(second.facts.state).toBe('mapped');
});

test('a mapping that cannot be given back is said, and keeps nobody waiting', async () => {
  const router = new ScriptedRouter();
  const kept = router.keep();
  await settle();
  router.refuses = SILENT;

  await kept.close();

  expect(router.notes.at(-1)).toBe(
    `warn The mapping of the router could not be removed, it ends with its lease: ${SILENT.message}`,
  );
});

test('a router that knows no end of a mapping is said to, and looked after', async () => {
  const router = new ScriptedRouter();
  router.leaseSeconds = null;
  router.held = true;
  const kept = router.keep();
  await router.clock.advance(24 * HOUR);

  expect(kept.facts).toMatchObject({ state: 'mapped', expiresAtMs: null });
  expect(router.asked.filter((one) => one !== 'look')).toEqual(['map 80']);
  expect(router.notes.some((note) => note.includes('after a crash it stays there'))).toBe(true);
});

test('a router that grants no time at all is not asked more often than each second', async () => {
  const router = new ScriptedRouter();
  router.leaseSeconds = 0;
  router.keep();

  await router.clock.advance(MINUTE);

  expect(router.asked.filter((one) => one !== 'look').length).toBeLessThanOrEqual(61);
});
