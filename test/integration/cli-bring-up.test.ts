import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bringUp, reportBroughtUp } from '../../src/cli/up/bring-up.ts';
import { openFeed } from '../../src/cli/feed.ts';
import { relayQuestions, type PutQuestion } from '../../src/cli/relay.ts';
import type { ControlClient } from '../../src/control/client.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { TunnelStatus } from '../../src/model/status.ts';
import { testContext, type TestContext } from '../support/cli-context.ts';
import { eventually, observes } from '../support/eventually.ts';
import { AT, ScriptedSupervisor, statusOf } from '../support/scripted-supervisor.ts';

const REFUSED = {
  code: 'CONNECT_REFUSED',
  message: 'Cannot connect to pop:22: refused',
  hint: 'Look.',
  at: AT,
} as const;
const WRONG_KEY = { code: 'LOGIN_REFUSED', message: 'Cannot log in to pop', hint: 'Check.', at: AT } as const;

let dir: string;
let at: TestContext;
let supervisor: ScriptedSupervisor;
let client: ControlClient;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tunnel-cli-'));
  at = testContext(dir);
});
afterEach(async () => {
  client.close();
  await supervisor.stop();
  await rm(dir, { recursive: true, force: true });
});

async function begin(...tunnels: readonly TunnelStatus[]): Promise<void> {
  supervisor = new ScriptedSupervisor(tunnels);
  client = await supervisor.start(dir);
}

/** Waits for tunnel `a` in the background. */
function waiting(waitMs: number, relay?: ReturnType<typeof relayQuestions>): ReturnType<typeof bringUp> {
  return bringUp({ client, order: ['a'], waitMs, relay }, at.context);
}

/** The call has subscribed, so that what the supervisor tells from now on is heard. */
async function subscribed(): Promise<void> {
  await client.call('status', {});
}

describe('waiting for tunnels', () => {
  test('ends when the supervisor tells that they are up', async () => {
    await begin(statusOf('a', 'connecting'));
    const settling = waiting(30_000);
    await subscribed();
    supervisor.tell(statusOf('a', 'up'));
    expect(await settling).toEqual({ tunnels: [statusOf('a', 'up')], failures: [] });
  });

  test('says the first network error once, and goes on', async () => {
    await begin(statusOf('a', 'connecting'));
    const settling = waiting(30_000);
    await subscribed();
    supervisor.tell(statusOf('a', 'retrying', { lastError: REFUSED }));
    supervisor.tell(statusOf('a', 'connecting', { lastError: REFUSED }));
    supervisor.tell(statusOf('a', 'retrying', { lastError: REFUSED }));
    supervisor.tell(statusOf('a', 'up'));
    await settling;
    expect(at.stderr).toEqual(['a: Cannot connect to pop:22: refused; trying for 30s']);
  });

  test('ends with 7 when time is up', async () => {
    await begin(statusOf('a', 'connecting'));
    const { failures } = await waiting(20);
    expect(failures.map(({ facts: { code, exit } }) => [code, exit])).toEqual([['TIMED_OUT', 7]]);
  });

  test('rejects at Ctrl-C', async () => {
    await begin(statusOf('a', 'connecting'));
    const settling = waiting(30_000);
    await subscribed();
    at.context.interrupt();
    await expect(settling).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test('rejects when the supervisor goes away', async () => {
    await begin(statusOf('a', 'connecting'));
    const settling = waiting(30_000);
    await subscribed();
    const rejected = expect(settling).rejects.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
    await supervisor.stop();
    await rejected;
  });

  test('time stands still while a person is asked', async () => {
    await begin(statusOf('a', 'waiting'));
    let answer = (_text: string): void => undefined;
    const relay = relayQuestions(client, at.context, () => new Promise((resolve) => (answer = resolve)));
    await openFeed(client, at.context.signal);
    supervisor.ask('q1');
    await eventually(() => relay.asking); // before the wait begins: a busy machine may take longer than that
    const settling = waiting(300, relay);
    let over = false;
    void settling.then(() => (over = true));
    await observes(500, () => over, 'the end of the wait');
    answer('secret');
    expect((await settling).failures.map(({ facts: { exit } }) => exit)).toEqual([4]);
    relay.close();
  });
});

describe('the report', () => {
  const forward = {
    name: 'f',
    kind: 'local',
    bind: 'localhost:113',
    target: 'pop:113',
    state: 'up',
    health: null,
  } as const;
  const counts = { openConnections: 0, totalConnections: 0, receivedBytes: 0, sentBytes: 0, lastError: null };
  const up = statusOf('a', 'up', { forwards: [{ ...forward, ...counts }] });
  const { code, message, hint } = WRONG_KEY;
  const failures = [{ tunnel: 'b', facts: { code, message, hint, exit: 4 } }];
  beforeEach(() => begin());

  test('is a line a forward on stdout, and the failures on stderr', () => {
    const exit = reportBroughtUp({ tunnels: [up, statusOf('b', 'failed')], failures }, at.context);
    expect({ exit, stdout: at.stdout, stderr: at.stderr }).toEqual({
      exit: 4,
      stdout: ['a  localhost:113 -> pop:113  up', 'b                            failed'],
      stderr: ['tunnel: b: Cannot log in to pop', '  Check.'],
    });
  });

  test('is the tunnels as JSON, or nothing but the error', () => {
    const { context, json, stdout } = testContext(dir, { json: true });
    expect(reportBroughtUp({ tunnels: [up], failures: [] }, context)).toBe(0);
    expect(() => reportBroughtUp({ tunnels: [up], failures }, context)).toThrow(message);
    expect([json, stdout]).toEqual([[{ version: 1, tunnels: [up] }], []]);
  });
});

describe('the relay of questions', () => {
  beforeEach(async () => {
    await begin(statusOf('a', 'waiting'));
  });

  async function relaying(put: PutQuestion): Promise<ReturnType<typeof relayQuestions>> {
    const relay = relayQuestions(client, at.context, put);
    await openFeed(client, at.context.signal);
    return relay;
  }

  test('hands the answer to the supervisor', async () => {
    await relaying(() => Promise.resolve('hunter2'));
    supervisor.ask('q1');
    await eventually(() => supervisor.asked.length > 0);
    expect(supervisor.asked).toEqual([['answer', { id: 'q1', answer: 'hunter2' }]]);
  });

  test('asks one at a time, in the order that they came', async () => {
    const asked: string[] = [];
    const answers: (() => void)[] = [];
    await relaying(({ id }) => {
      asked.push(id);
      return new Promise((resolve) => answers.push(() => resolve(`for ${id}`)));
    });
    supervisor.ask('q1');
    supervisor.ask('q2');
    await subscribed();
    expect(asked).toEqual(['q1']);
    answers[0]?.();
    await eventually(() => asked.length === 2);
    expect(asked).toEqual(['q1', 'q2']);
  });

  test('takes a question off the terminal that was answered elsewhere, and one that still stood in line', async () => {
    const asked: string[] = [];
    await relaying(({ id }, signal) => {
      asked.push(id);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    });
    supervisor.ask('q1');
    supervisor.ask('q2');
    supervisor.ask('q3');
    supervisor.withdraw('q2');
    supervisor.withdraw('q1');
    await eventually(() => asked.length === 2);
    expect([asked, supervisor.asked]).toEqual([['q1', 'q3'], []]);
  });

  test('Ctrl-C in a prompt leaves the question to others and ends the command', async () => {
    await relaying(() => Promise.reject(new TunnelError('INTERRUPTED', 'Interrupted')));
    supervisor.ask('q1');
    await eventually(() => at.context.signal.aborted);
    expect(supervisor.asked).toEqual([['decline', { id: 'q1' }]]);
  });
});
