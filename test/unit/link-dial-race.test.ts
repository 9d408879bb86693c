import { beforeEach, describe, expect, test } from 'vitest';
import { LoginBudget } from '../../src/link/budget.ts';
import type { LinkPlan } from '../../src/link/carrier-deps.ts';
import { login } from '../../src/link/login.ts';
import type { DialProgress, DialRequest, Transport } from '../../src/link/transport.ts';
import { asTunnelError, TunnelError } from '../../src/model/failure.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ScriptedTransport } from '../support/scripted-dial.ts';
import { aHop, aTunnelPlan } from '../support/supervisor-parts.ts';

const SERVER = 'pop.example.org:22';
const TIMEOUT = new TunnelError('CONNECT_TIMEOUT', 'Cannot connect to pop.example.org:22: no answer within 10 s');

/** A dial that goes as far as the test takes it. */
interface Dialled {
  readonly atMs: number;
  readonly request: DialRequest;
  readonly gaveUp: () => boolean;
  goes(...progress: readonly DialProgress[]): Promise<void>;
  comesUp(): Promise<ScriptedTransport>;
  fails(error: TunnelError): Promise<void>;
}

let clock: FakeClock;
let budget: LoginBudget;
let dials: Dialled[];
let told: string[];
/** Dials go on although they are called off. */
let deaf: boolean;

beforeEach(() => {
  clock = new FakeClock();
  budget = new LoginBudget(clock);
  dials = [];
  told = [];
  deaf = false;
});

function dial(request: DialRequest): Promise<Transport> {
  return new Promise((resolve, reject) => {
    request.signal.addEventListener('abort', () => !deaf && reject(request.signal.reason as Error), { once: true });
    dials.push({
      atMs: clock.nowMs(),
      request,
      gaveUp: () => request.signal.aborted,
      async goes(...progress) {
        for (const one of progress) request.onProgress?.(one);
        await clock.advance(0);
      },
      async comesUp() {
        const transport = new ScriptedTransport(clock, 40_000);
        resolve(transport);
        await clock.advance(0);
        return transport;
      },
      async fails(error) {
        reject(error);
        await clock.advance(0);
      },
    });
  });
}

/** A login under way; what becomes of it is told. */
async function begin(plan: Partial<LinkPlan> = {}): Promise<AbortController> {
  const stop = new AbortController();
  const deps = {
    ...{ dial, clock, budget },
    random: () => 0,
    ask: () => Promise.reject(new TunnelError('NEEDS_PERSON', 'Cannot ask: nobody is there')),
    agentSocket: () => undefined,
    onNote: () => undefined,
  };
  const hops = [aHop({ label: 'pop', host: 'pop.example.org' })];
  login({ ...aTunnelPlan({ name: 'pop', hops }), ...plan }, deps, stop.signal, {
    turn: () => undefined,
    trusted: () => told.push('trusted'),
  }).then(
    () => told.push('up'),
    (error: unknown) => told.push(asTunnelError(error).code),
  );
  await clock.advance(0);
  return stop;
}

function nth(index: number): Dialled {
  const found = dials[index];
  if (found === undefined) throw new Error(`There is no dial ${index}`);
  return found;
}

const starts = (): number[] => dials.map(({ atMs }) => atMs);

describe('a dial whose SYN is not answered', () => {
  test('gets a younger one beside it after 2 s, and the first that is connected goes on alone', async () => {
    await begin();
    await nth(0).goes('resolved');
    await clock.advance(1_999);
    expect(starts()).toEqual([0]);
    await clock.advance(1);
    expect(starts()).toEqual([0, 2_000]);
    await nth(1).goes('resolved', 'reached');
    expect([nth(0).gaveUp(), nth(1).gaveUp()]).toEqual([true, false]);
    await nth(1).goes('identified', 'exchanged');
    await nth(1).comesUp();
    expect(told).toEqual(['up']);
  });

  test('is never one of three', async () => {
    await begin();
    await nth(0).goes('resolved');
    await clock.advance(9_000);
    expect(starts()).toEqual([0, 2_000]);
  });

  test('ends the login where it fails, with the younger one', async () => {
    await begin();
    await nth(0).goes('resolved');
    await clock.advance(10_000);
    await nth(0).fails(TIMEOUT);
    expect([told, nth(1).gaveUp(), clock.pending]).toEqual([['CONNECT_TIMEOUT'], true, 0]);
  });

  test('costs nothing of what the server may see', async () => {
    for (let tries = 0; tries < 10; tries += 1) {
      await begin();
      const index = dials.length - 1;
      await nth(index).goes('resolved');
      await clock.advance(10_000);
      await nth(index).fails(TIMEOUT);
      expect(budget.delayMs(SERVER)).toBe(0);
    }
  });
});

describe('a server that is connected and silent', () => {
  test('is dialled once more after 3 s, and whichever dial hears it first goes on', async () => {
    await begin();
    await nth(0).goes('resolved', 'reached');
    await clock.advance(3_000);
    await nth(1).goes('resolved', 'reached');
    expect(starts()).toEqual([0, 3_000]);
    await nth(0).goes('identified');
    expect([nth(0).gaveUp(), nth(1).gaveUp()]).toEqual([false, true]);
  });

  test('is tried no more often than 6 times in 30 s', async () => {
    for (let atMs = 0; atMs < 90_000; atMs += 10_500) {
      await begin();
      const index = dials.length - 1;
      await nth(index).goes('resolved', 'reached');
      await clock.advance(3_000);
      await dials[index + 1]?.goes('resolved', 'reached');
      await clock.advance(7_000);
      await nth(index).fails(TIMEOUT);
      await clock.advance(500);
    }
    const most = Math.max(...starts().map((from) => starts().filter((at) => at >= from && at < from + 30_000).length));
    expect(most).toBeLessThanOrEqual(6);
    expect(dials.length).toBeGreaterThan(12);
  });

  test('is not dialled again while no try is left for it', async () => {
    for (let spent = 0; spent < 5; spent += 1) {
      (await budget.acquire(SERVER, new AbortController().signal)).settle('failed');
      await clock.advance(1_000);
    }
    await begin();
    await nth(0).goes('resolved', 'reached');
    await clock.advance(9_000);
    expect(starts()).toEqual([5_000]);
  });
});

describe('a login that has begun', () => {
  test('is the only one, however long it takes', async () => {
    await begin();
    await nth(0).goes('resolved', 'reached', 'identified', 'exchanged');
    await clock.advance(60_000);
    expect(starts()).toEqual([0]);
  });

  test('may be one that asks a person about the host key', async () => {
    await begin();
    await nth(0).goes('resolved', 'reached', 'identified');
    const { ask } = nth(0).request;
    const question = { kind: 'host-key', subject: 'pop', prompt: '?', detail: '', echo: true } as const;
    await expect(ask(question, new AbortController().signal)).rejects.toThrow('nobody');
    await clock.advance(60_000);
    expect(starts()).toEqual([0]);
  });

  test('ends a younger dial that came up all the same', async () => {
    await begin();
    await nth(0).goes('resolved');
    await clock.advance(2_000);
    deaf = true;
    await nth(0).goes('reached', 'identified', 'exchanged');
    const late = await nth(1).comesUp();
    await nth(0).comesUp();
    expect([told, late.ended?.code]).toEqual([['up'], 'STOPPED']);
  });
});

test('a proxyCommand is started once', async () => {
  await begin({ hops: [aHop({ label: 'pop', host: 'pop.example.org', proxyCommand: 'nc pop 22' })] });
  await nth(0).goes('reached');
  await clock.advance(9_000);
  expect(starts()).toEqual([0]);
});

test('who calls it off ends both dials', async () => {
  const stop = await begin();
  await nth(0).goes('resolved');
  await clock.advance(2_000);
  stop.abort(new TunnelError('STOPPED', 'Cannot go on: stopped'));
  await clock.advance(0);
  expect([told, nth(0).gaveUp(), nth(1).gaveUp(), clock.pending]).toEqual([['STOPPED'], true, true, 0]);
});
