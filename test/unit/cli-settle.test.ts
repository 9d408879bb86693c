import { describe, expect, test } from 'vitest';
import { ended, settle, type SettleFacts } from '../../src/cli/up/settle.ts';
import { FAILURES, type FailureCode } from '../../src/model/failure.ts';
import type { ErrorStatus, ForwardStatus, TunnelState, TunnelStatus } from '../../src/model/status.ts';

const AT = '2026-08-14T10:00:00.000Z';

function fault(code: FailureCode): ErrorStatus {
  return { code, message: `Cannot do it: ${code}`, hint: FAILURES[code].hint, at: AT };
}

function tunnel(name: string, state: TunnelState, changes: Partial<TunnelStatus> = {}): TunnelStatus {
  const quiet = { since: AT, via: 'alice@pop.example.org', latencyMs: null, reconnects: 0, nextRetryAt: null };
  return { name, state, ...quiet, lastError: null, forwards: [], ...changes };
}

function forward(state: ForwardStatus['state'], lastError: ErrorStatus | null): ForwardStatus {
  const counts = { openConnections: 0, totalConnections: 0, receivedBytes: 0, sentBytes: 0 };
  const route = { name: 'localhost:113', kind: 'local', bind: 'localhost:113', target: 'pop.example.org:113' } as const;
  return { ...route, state, health: null, ...counts, lastError };
}

function facts(tunnels: readonly TunnelStatus[], changes: Partial<SettleFacts> = {}): SettleFacts {
  const order = tunnels.map(({ name }) => name);
  return {
    order,
    tunnels: new Map(tunnels.map((each) => [each.name, each])),
    attended: false,
    timeUpAfterMs: null,
    goesOn: true,
    ...changes,
  };
}

/** `pending`, or the exit codes of the failures by tunnel: all up is {}. */
function outcome(what: SettleFacts): unknown {
  const settlement = settle(what);
  if (settlement.kind === 'pending') return 'pending';
  return Object.fromEntries(settlement.failures.map(({ tunnel: name, facts: { exit } }) => [name, exit]));
}

describe('one tunnel', () => {
  const rows: readonly (readonly [string, TunnelStatus, unknown])[] = [
    ['up is done', tunnel('a', 'up'), {}],
    ['waiting for its first use is done', tunnel('a', 'idle'), {}],
    ['the first try goes on', tunnel('a', 'connecting'), 'pending'],
    ['a network error goes on', tunnel('a', 'retrying', { lastError: fault('CONNECT_REFUSED') }), 'pending'],
    [
      'a second try after a network error goes on',
      tunnel('a', 'connecting', { lastError: fault('UNREACHABLE') }),
      'pending',
    ],
    ['a refused login ends at once', tunnel('a', 'failed', { lastError: fault('LOGIN_REFUSED') }), { a: 4 }],
    ['a changed host key ends at once', tunnel('a', 'failed', { lastError: fault('HOST_KEY_CHANGED') }), { a: 5 }],
    ['no common algorithm ends at once', tunnel('a', 'failed', { lastError: fault('NO_COMMON_ALGORITHM') }), { a: 7 }],
    [
      'a busy port ends at once',
      tunnel('a', 'retrying', { forwards: [forward('retrying', fault('BIND_IN_USE'))] }),
      { a: 6 },
    ],
    [
      'a forward that the server refuses ends at once',
      tunnel('a', 'retrying', { forwards: [forward('failed', fault('FORWARD_REFUSED'))] }),
      { a: 8 },
    ],
    ['a question that nobody here can be asked ends at once', tunnel('a', 'waiting'), { a: 4 }],
    ['failed without a reason is anything else', tunnel('a', 'failed'), { a: 1 }],
    ['stopped by somebody else is anything else', tunnel('a', 'stopping'), { a: 1 }],
  ];
  test.each(rows)('%s', (_, status, expected) => {
    expect(outcome(facts([status]))).toEqual(expected);
  });

  test('a tunnel that vanished was stopped by somebody else', () => {
    expect(outcome({ ...facts([]), order: ['a'] })).toEqual({ a: 1 });
  });

  test('a question goes on while somebody here can be asked', () => {
    expect(outcome(facts([tunnel('a', 'waiting')], { attended: true }))).toBe('pending');
  });

  test('a question that nobody can be asked says which command asks it', () => {
    const settlement = settle(facts([tunnel('a', 'waiting')]));
    expect(settlement).toEqual({
      kind: 'done',
      failures: [
        {
          tunnel: 'a',
          facts: {
            code: 'NEEDS_PERSON',
            message: 'Cannot log in to alice@pop.example.org: somebody has to answer',
            hint: 'Run `tunnel answer a` on a terminal.',
            exit: 4,
          },
        },
      ],
    });
  });

  test('a network error is told while it goes on', () => {
    const settlement = settle(facts([tunnel('a', 'retrying', { lastError: fault('CONNECT_REFUSED') })]));
    const { message, hint } = fault('CONNECT_REFUSED');
    expect(settlement).toEqual({
      kind: 'pending',
      troubles: [{ tunnel: 'a', facts: { code: 'CONNECT_REFUSED', message, hint, exit: 7 } }],
    });
  });

  test('a past target failure of a forward that serves is no failure of up', () => {
    expect(outcome(facts([tunnel('a', 'up', { forwards: [forward('up', fault('TARGET_REFUSED'))] })]))).toEqual({});
  });
});

describe('when time is up', () => {
  test('a network error becomes 7 and says that the supervisor goes on', () => {
    const settlement = settle(
      facts([tunnel('a', 'retrying', { lastError: fault('CONNECT_REFUSED') })], { timeUpAfterMs: 30_000 }),
    );
    expect(settlement).toEqual({
      kind: 'done',
      failures: [
        {
          tunnel: 'a',
          facts: {
            code: 'CONNECT_REFUSED',
            message: 'Cannot do it: CONNECT_REFUSED',
            hint: 'Check the port, and that sshd runs there. The tunnel stays wanted: the supervisor goes on trying.',
            exit: 7,
          },
        },
      ],
    });
  });

  test('no answer at all becomes 7, with the time that was waited', () => {
    const settlement = settle(facts([tunnel('a', 'connecting')], { timeUpAfterMs: 90_000 }));
    expect(settlement).toEqual({
      kind: 'done',
      failures: [
        {
          tunnel: 'a',
          facts: {
            code: 'TIMED_OUT',
            message: 'Cannot bring a up within 1m30s: no answer yet',
            hint: 'The tunnel stays wanted: the supervisor goes on trying.',
            exit: 7,
          },
        },
      ],
    });
  });

  test('a question that nobody answered in time is 4', () => {
    expect(outcome(facts([tunnel('a', 'waiting')], { attended: true, timeUpAfterMs: 1_000 }))).toEqual({ a: 4 });
  });

  test('trouble with another exit code that goes on is 7 as well', () => {
    const status = tunnel('a', 'retrying', { lastError: fault('INTERNAL') });
    expect(outcome(facts([status], { timeUpAfterMs: 1_000 }))).toEqual({ a: 7 });
  });
});

describe('several tunnels', () => {
  const up = tunnel('up', 'up');
  const first = tunnel('first', 'connecting');
  const away = tunnel('away', 'retrying', { lastError: fault('UNREACHABLE') });
  const refused = tunnel('refused', 'failed', { lastError: fault('LOGIN_REFUSED') });
  const unknown = tunnel('unknown', 'failed', { lastError: fault('HOST_KEY_UNKNOWN') });
  const rows: readonly (readonly [string, readonly TunnelStatus[], unknown])[] = [
    ['all up are done', [up, tunnel('b', 'idle')], {}],
    ['one that is not up yet is waited for', [up, first], 'pending'],
    ['the first failure in the order given decides', [unknown, refused], { unknown: 5, refused: 4 }],
    ['a failure waits for one before it that is at its first try', [first, refused], 'pending'],
    ['a failure does not wait for one behind it', [refused, first], { refused: 4 }],
    ['a failure does not wait for one that the network keeps away', [away, refused], { refused: 4 }],
  ];
  test.each(rows)('%s', (_, tunnels, expected) => {
    expect(outcome(facts(tunnels))).toEqual(expected);
  });

  test('when time is up each that is not up fails, in the order given', () => {
    const settlement = settle(facts([up, away, refused, first], { timeUpAfterMs: 30_000 }));
    const failures = settlement.kind === 'done' ? settlement.failures : [];
    expect(failures.map(({ tunnel: name, facts: { exit } }) => [name, exit])).toEqual([
      ['away', 7],
      ['refused', 4],
      ['first', 7],
    ]);
  });
});

describe('up --foreground', () => {
  const failed = tunnel('a', 'failed', { lastError: fault('LOGIN_REFUSED') });
  test('stays while one goes on, through network errors too', () => {
    const { order, tunnels } = facts([failed, tunnel('b', 'retrying', { lastError: fault('UNREACHABLE') })]);
    expect(ended(order, tunnels)).toBeUndefined();
  });

  test('ends with the failures once all have failed', () => {
    const { order, tunnels } = facts([failed, tunnel('b', 'failed', { lastError: fault('HOST_KEY_CHANGED') })]);
    expect(ended(order, tunnels)?.map(({ facts: { exit } }) => exit)).toEqual([4, 5]);
  });

  test('ends well once all were stopped', () => {
    expect(ended(['a'], new Map())).toEqual([]);
  });
});
