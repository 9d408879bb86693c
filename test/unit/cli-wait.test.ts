import { expect, test } from 'vitest';
import { waitVerdict } from '../../src/cli/status/wait-verdict.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { Health, TunnelState, TunnelStatus } from '../../src/model/status.ts';

const AT = '2026-08-14T10:00:00.000Z';

function tunnel(state: TunnelState, ...healths: (Health | null)[]): TunnelStatus {
  const lastError =
    state === 'failed' ? ({ code: 'HOST_KEY_CHANGED', message: 'It changed', hint: '', at: AT } as const) : null;
  const counts = { openConnections: 0, totalConnections: 0, receivedBytes: 0, sentBytes: 0 };
  const forwards = healths.map((health, at) => {
    const route = { name: `f${at}`, kind: 'local', bind: 'localhost:1', target: 'x:1', state: 'up' } as const;
    return { ...route, health, ...counts, lastError: null };
  });
  return {
    name: 'a',
    state,
    since: AT,
    via: null,
    latencyMs: null,
    reconnects: 0,
    lastError,
    nextRetryAt: null,
    forwards,
  };
}

const UP = { state: 'up', healthy: false } as const;
const HEALTHY = { state: 'up', healthy: true } as const;
const DOWN = { state: 'down', healthy: false } as const;

test.each([
  ['up is reached', tunnel('up'), UP, true],
  ['waiting for its first use is up', tunnel('idle'), UP, true],
  ['connecting is not yet', tunnel('connecting'), UP, false],
  ['retrying is not yet', tunnel('retrying'), UP, false],
  ['a question can still be answered', tunnel('waiting'), UP, false],
  ['failed will never be up: its own exit code', tunnel('failed'), UP, 5],
  ['what does not run will never be up', undefined, UP, 3],
  ['healthy where every probe succeeds', tunnel('up', 'ok', 'ok'), HEALTHY, true],
  ['not healthy while one fails', tunnel('up', 'ok', 'failing'), HEALTHY, false],
  ['as healthy as it is up without a probe', tunnel('up', null), HEALTHY, true],
  ['down when it does not run', undefined, DOWN, true],
  ['down when it has failed', tunnel('failed'), DOWN, true],
  ['not down while it drains', tunnel('stopping'), DOWN, false],
])('%s', (_, status, goal, expected) => {
  const verdict = waitVerdict('a', status, goal);
  expect(verdict instanceof TunnelError ? verdict.exit : verdict).toBe(expected);
});
