import { beforeEach, expect, test } from 'vitest';
import { LoginBudget } from '../../src/link/budget.ts';
import { EXTRA_IDLE_MS } from '../../src/link/extra-links.ts';
import { LinkCarrier } from '../../src/link/link-carrier.ts';
import type { Channel } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { Plan } from '../../src/model/plan.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { LOGIN_REFUSED, LOST, ScriptedDial, type ScriptedTransport } from '../support/scripted-dial.ts';
import { aTunnelPlan } from '../support/supervisor-parts.ts';

const TARGET: Endpoint = { kind: 'tcp', host: 'pop.example.org', port: 110 };
const CLIENT = { address: '127.0.0.1', port: 50_000 };
const NEEDS_PERSON = new TunnelError('NEEDS_PERSON', 'Cannot log in as alice: nobody is there to be asked');

let clock: FakeClock;
let dial: ScriptedDial;
let notes: string[];

beforeEach(() => {
  clock = new FakeClock();
  dial = new ScriptedDial(clock);
  notes = [];
});

/** A carrier that somebody needs, up over its first link. */
async function upWith(connections: Plan['connections']): Promise<LinkCarrier> {
  const carrier = new LinkCarrier(aTunnelPlan({ name: 'pop', connections }), {
    dial: dial.dial,
    clock,
    random: () => 0,
    budget: new LoginBudget(clock),
    ask: () => Promise.resolve('asked' as never),
    agentSocket: () => undefined,
    onNote: (message) => notes.push(message),
  });
  carrier.need();
  await clock.advance(0);
  return carrier;
}

async function open(carrier: LinkCarrier): Promise<Channel> {
  const channel = await carrier.open(TARGET, CLIENT, new AbortController().signal);
  channel.attach({ data: () => undefined, end: () => undefined, drain: () => undefined, closed: () => undefined });
  return channel;
}

/** Two channels, and the second connection that they bring about, up. */
async function spread(carrier: LinkCarrier): Promise<Channel[]> {
  const channels = [await open(carrier), await open(carrier)];
  await clock.advance(1_000); // logins come no closer
  expect(dial.transports).toHaveLength(2);
  return [...channels, await open(carrier)];
}

function at(index: number): ScriptedTransport {
  const transport = dial.transports[index];
  if (transport === undefined) throw new Error(`There is no connection ${index}`);
  return transport;
}

const load = (): number[] => dial.transports.map(({ channels }) => channels.length);

test('one connection stays one, whatever is open on it', async () => {
  const carrier = await upWith(1);
  for (let count = 0; count < 20; count += 1) await open(carrier);
  await clock.advance(5_000);
  expect([load(), carrier.status.connections]).toEqual([[20], undefined]);
});

test('a channel that finds every connection in use brings about one more, for those that follow', async () => {
  const carrier = await upWith(3);
  await spread(carrier);
  await open(carrier);
  await clock.advance(1_000);
  for (let count = 0; count < 5; count += 1) await open(carrier);
  await clock.advance(10_000);
  expect([load(), dial.atMs]).toEqual([
    [3, 3, 3],
    [0, 1_000, 2_000],
  ]);
  expect(carrier.status.connections?.map(({ channels }) => channels)).toEqual([3, 3, 3]);
});

test('auto dials nothing for a few channels', async () => {
  const carrier = await upWith('auto');
  for (let count = 0; count < 128; count += 1) await open(carrier);
  await clock.advance(5_000);
  expect(load()).toEqual([128]);
  await open(carrier);
  await clock.advance(1_000);
  await open(carrier);
  expect(load()).toEqual([129, 1]);
});

test('the loss of an extra connection ends its own channels, and it is not dialled again at once', async () => {
  const carrier = await upWith(2);
  await spread(carrier);
  at(1).lose();
  await open(carrier);
  await clock.advance(20_000);
  expect([carrier.status.phase, at(0).ended, load(), carrier.status.connections]).toEqual([
    'up',
    null,
    [3, 1],
    undefined,
  ]);
  await clock.advance(10_000);
  await open(carrier);
  await clock.advance(0);
  expect(dial.transports).toHaveLength(3);
});

test('an open under way on an extra connection that is lost goes on over another', async () => {
  const carrier = await upWith(2);
  await spread(carrier);
  at(1).holdOpens = true;
  const opened = open(carrier);
  at(1).lose();
  await opened;
  expect(load()).toEqual([3, 1]);
});

test('the loss of the first connection leaves the tunnel up over the next one', async () => {
  const carrier = await upWith(2);
  const heard: string[] = [];
  carrier.listen(TARGET, () => undefined, {
    listening: () => heard.push('listening'),
    lost: () => heard.push('lost'),
  });
  await spread(carrier);
  at(0).lose();
  await clock.advance(0);
  await open(carrier);
  expect([carrier.status.phase, carrier.up, at(1).ended, load()]).toEqual(['up', true, null, [2, 2]]);
  expect([heard, at(1).listening.size]).toEqual([['listening', 'lost', 'listening'], 1]);
});

test('a further connection that comes up while the first one is lost takes its place at once', async () => {
  const carrier = await upWith(2);
  let comeUp = (): void => undefined;
  dial.then(new Promise<void>((resolve) => (comeUp = resolve)), ...Array.from({ length: 9 }, () => LOST));
  await open(carrier);
  await open(carrier);
  await clock.advance(1_000); // logins come no closer
  at(0).lose();
  const opened = open(carrier);
  await clock.advance(5_000);
  const dialled = dial.requests.length;
  expect(carrier.status.phase).toBe('retrying');
  comeUp();
  await settle();
  expect(carrier.status.phase).toBe('up');
  await opened;
  await clock.advance(20_000);
  expect([dial.requests.length, load()]).toEqual([dialled, [2, 1]]);
});

test.each([NEEDS_PERSON, LOGIN_REFUSED])(
  'a further login that ends with $code is not tried again, and said once',
  async (error) => {
    const carrier = await upWith(4);
    dial.then(error);
    for (let count = 0; count < 4; count += 1) {
      await open(carrier);
      await clock.advance(60_000);
    }
    expect([dial.requests.length, notes, carrier.status.phase]).toEqual([
      2,
      [`Goes on with fewer connections: ${error.message}`],
      'up',
    ]);
  },
);

test('only the first connection asks a person', async () => {
  const carrier = await upWith(2);
  await spread(carrier);
  const question = { kind: 'password', subject: 'alice', prompt: 'Password:', detail: '', echo: false } as const;
  const signal = new AbortController().signal;
  const asked = (index: number): Promise<unknown> | undefined => dial.requests[index]?.ask(question, signal);
  await expect(asked(0)).resolves.toBe('asked');
  await expect(asked(1)).rejects.toMatchObject({ code: 'NEEDS_PERSON' });
  at(0).lose();
  await clock.advance(0);
  await expect(asked(1)).resolves.toBe('asked'); // it is the first now
});

test('an extra connection that nothing uses is closed after a minute, and one in use is not', async () => {
  const carrier = await upWith(2);
  const [, , third] = await spread(carrier);
  third?.abort();
  await clock.advance(EXTRA_IDLE_MS - 1);
  expect(at(1).ended).toBeNull();
  const fourth = await open(carrier);
  await clock.advance(EXTRA_IDLE_MS);
  expect(at(1).ended).toBeNull();
  fourth.abort();
  await clock.advance(EXTRA_IDLE_MS);
  expect([at(1).ended?.code, carrier.status.phase, dial.transports.length]).toEqual(['STOPPED', 'up', 2]);
});

test('a connection of its own, silent, is given up by itself', async () => {
  const carrier = await upWith(2);
  await spread(carrier);
  at(1).silent = true;
  await clock.advance(60_000);
  expect([at(1).ended?.code, at(0).ended, carrier.status.phase]).toEqual(['KEEPALIVE_TIMEOUT', null, 'up']);
});

test('renewed links leave the channels of the old ones time to end', async () => {
  const carrier = await upWith(2);
  const [, , third] = await spread(carrier);
  carrier.renew();
  await clock.advance(1_000);
  await open(carrier);
  expect([load(), at(1).ended]).toEqual([[2, 1, 1], null]);
  third?.abort();
  await clock.advance(0);
  expect(at(1).ended?.code).toBe('STOPPED');
});

test('close ends every connection', async () => {
  const carrier = await upWith(2);
  await spread(carrier);
  const closed = carrier.close(0);
  await clock.advance(0);
  await closed;
  expect([at(0).ended?.code, at(1).ended?.code, clock.pending]).toEqual(['STOPPED', 'STOPPED', 0]);
});
