import { beforeEach, describe, expect, test } from 'vitest';
import { LoginBudget } from '../../src/link/budget.ts';
import { LinkCarrier, RENEW_DRAIN_MS } from '../../src/link/link-carrier.ts';
import type { CarrierDeps } from '../../src/link/carrier-deps.ts';
import type { Channel, ChannelSink, Dial } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { Plan } from '../../src/model/plan.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { LOGIN_REFUSED, LOST, REFUSED, ScriptedDial } from '../support/scripted-dial.ts';
import { aHop, aTunnelPlan } from '../support/supervisor-parts.ts';

const TARGET: Endpoint = { kind: 'tcp', host: 'pop.example.org', port: 110 };
const CLIENT = { address: '127.0.0.1', port: 50_000 };
const NEEDS_PERSON = new TunnelError('NEEDS_PERSON', 'Cannot log in as alice: nobody is there to be asked');
const TARGET_REFUSED = new TunnelError('TARGET_REFUSED', 'Cannot reach pop.example.org:110: refused');
const FORWARD_REFUSED = new TunnelError('FORWARD_REFUSED', 'Cannot listen on the server at localhost:8080: refused');
const CHANNEL_TIMEOUT = new TunnelError('CHANNEL_TIMEOUT', 'Cannot reach pop.example.org:110: no answer');

let clock: FakeClock;
let dial: ScriptedDial;
let notes: string[];

beforeEach(() => {
  clock = new FakeClock();
  dial = new ScriptedDial(clock);
  notes = [];
});

function aCarrier(facts: Partial<Plan> = {}, deps: Partial<CarrierDeps> = {}): LinkCarrier {
  return new LinkCarrier(aTunnelPlan({ name: 'pop', ...facts }), {
    dial: dial.dial,
    clock,
    random: () => 0,
    budget: new LoginBudget(clock),
    ask: () => Promise.reject(NEEDS_PERSON),
    agentSocket: () => '/run/agent',
    onNote: (message) => notes.push(message),
    ...deps,
  });
}

/** An open that may fail while nobody looks: the test looks later. */
function open(carrier: LinkCarrier, signal = new AbortController().signal): Promise<Channel> {
  const opened = carrier.open(TARGET, CLIENT, signal);
  opened.catch(() => undefined);
  return opened;
}

/** The code that it is rejected with, or 'fulfilled'; for those that are still open 'pending'. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  const told = promise.then(
    () => 'fulfilled',
    (error: unknown) => (error instanceof TunnelError ? error.code : String(error)),
  );
  return Promise.race([told, settle().then(() => 'pending')]);
}

function aSink(onClosed: (error?: TunnelError) => void = () => undefined): ChannelSink {
  return { data: () => undefined, end: () => undefined, drain: () => undefined, closed: onClosed };
}

/** A carrier that somebody needs, up. */
async function anUpCarrier(facts: Partial<Plan> = {}): Promise<LinkCarrier> {
  const carrier = aCarrier(facts);
  carrier.need();
  await clock.advance(0);
  expect(carrier.status.phase).toBe('up');
  return carrier;
}

describe('need', () => {
  test('nothing is dialled until somebody needs a link', async () => {
    const carrier = aCarrier();
    await clock.advance(60_000);
    expect([carrier.status.phase, dial.atMs, clock.pending]).toEqual(['idle', [], 0]);
  });

  test('the first need dials once, the last release closes', async () => {
    const carrier = aCarrier();
    const releases = [carrier.need(), carrier.need()];
    await clock.advance(0);
    expect([carrier.status.phase, carrier.up, dial.atMs]).toEqual(['up', true, [0]]);
    releases[0]?.();
    releases[0]?.(); // counts once
    await clock.advance(0);
    expect(carrier.status.phase).toBe('up');
    releases[1]?.();
    await clock.advance(0);
    expect([carrier.status.phase, carrier.up, dial.last.ended?.code, clock.pending]).toEqual([
      'idle',
      false,
      'STOPPED',
      0,
    ]);
  });

  test('an open channel keeps the link until it closes, whoever has released it', async () => {
    const carrier = aCarrier();
    const channel = await open(carrier);
    channel.attach(aSink());
    await clock.advance(60_000);
    expect(carrier.up).toBe(true);
    channel.abort();
    await clock.advance(0);
    expect(carrier.status.phase).toBe('idle');
  });

  test('a channel that is given up before it was read is forgotten too', async () => {
    const carrier = aCarrier();
    (await open(carrier)).abort();
    await clock.advance(0);
    expect(carrier.status.phase).toBe('idle');
  });

  test('release in the middle of a dial calls it off', async () => {
    dial.then('hang');
    const carrier = aCarrier();
    const release = carrier.need();
    await clock.advance(100);
    release();
    await clock.advance(0);
    expect([carrier.status.phase, dial.open, clock.pending]).toEqual(['idle', 0, 0]);
  });

  test('what a dial waits for is waited for before the server hears of us', async () => {
    let go: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => (go = resolve));
    const carrier = aCarrier({}, { ready: () => ready });
    carrier.need();
    await clock.advance(5_000);
    expect(dial.atMs).toEqual([]);
    go();
    await clock.advance(0);
    expect(dial.atMs).toEqual([5_000]);
  });

  test('each dial gets the agent of the moment and the hops of the plan', async () => {
    await anUpCarrier();
    expect(dial.requests.map(({ agentSocket, hops }) => [agentSocket, hops])).toEqual([['/run/agent', [aHop()]]]);
  });
});

describe('an outage', () => {
  test('is over as soon as the server is back: at once, after initial, doubling', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.then(REFUSED, REFUSED, REFUSED);
    dial.last.lose();
    await clock.advance(10_000);
    expect(dial.atMs).toEqual([0, 60_000, 60_500, 61_500, 63_500]);
    expect(carrier.status).toMatchObject({ phase: 'up', reconnects: 1, lastError: null, nextRetryAtMs: null });
  });

  test('shows why it lasts and when the next try comes', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.then(REFUSED, REFUSED, 'hang');
    dial.last.lose();
    await clock.advance(700);
    const { phase, lastError, nextRetryAtMs, facts } = carrier.status;
    expect([phase, lastError, nextRetryAtMs, facts]).toEqual(['retrying', REFUSED, clock.wallMs() + 800, null]);
    await clock.advance(800);
    expect(carrier.status).toMatchObject({ phase: 'retrying', lastError: REFUSED, nextRetryAtMs: null });
  });

  test('a reset of a link that just logged in is followed by one login at once, and from then on by one a second', async () => {
    await anUpCarrier();
    await clock.advance(200);
    dial.last.lose();
    await clock.advance(100);
    dial.last.lose();
    await clock.advance(2_000);
    expect(dial.atMs).toEqual([0, 200, 1_200]);
  });

  test('that a change of network may have ended is tried at once and then in quick steps anew', async () => {
    const carrier = aCarrier();
    dial.then(...Array.from({ length: 8 }, () => REFUSED));
    carrier.need();
    await clock.advance(40_000); // delays of 16 s by now
    const tries = dial.atMs.length;
    carrier.wake();
    await clock.advance(500);
    expect(dial.atMs.slice(tries)).toEqual([40_000, 40_500]);
  });
});

describe('silence', () => {
  test('is seen within interval x (maxMissed + 1), and leads to a new link', async () => {
    const carrier = await anUpCarrier();
    dial.last.silent = true;
    await clock.advance(59_999);
    expect(carrier.up).toBe(true);
    await clock.advance(1);
    expect(dial.transports[0]?.ended?.code).toBe('KEEPALIVE_TIMEOUT');
    await clock.advance(0);
    expect([carrier.status.phase, dial.atMs]).toEqual(['up', [0, 60_000]]);
  });

  test('is told once an interval has passed without an answer, until there is one', async () => {
    const carrier = await anUpCarrier();
    const upMs = clock.wallMs();
    let changes = 0;
    carrier.subscribe(() => (changes += 1));
    dial.last.silent = true;
    await clock.advance(29_999);
    expect([carrier.status.silentSinceMs, changes]).toEqual([undefined, 0]);
    await clock.advance(1);
    expect([carrier.status.silentSinceMs, carrier.up, changes]).toEqual([upMs + 15_000, true, 1]); // when what came last was counted
    dial.last.silent = false;
    await clock.advance(15_000);
    expect([carrier.status.silentSinceMs, carrier.up]).toEqual([undefined, true]);
  });

  test('is not said of the link that comes after it', async () => {
    const carrier = await anUpCarrier();
    dial.last.silent = true;
    await clock.advance(60_000);
    expect([carrier.status.phase, carrier.status.silentSinceMs]).toEqual(['up', undefined]);
  });

  test('after a wake is seen within 5 s', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.last.silent = true;
    carrier.wake();
    await clock.advance(5_000);
    expect(dial.atMs).toEqual([0, 64_000]);
  });

  test('that a wake fears and a ping refutes changes nothing', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    carrier.wake();
    await clock.advance(30_000);
    expect([carrier.up, dial.atMs]).toEqual([true, [0]]);
  });

  test('of a link on which an open was not answered is seen sooner', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(1_000);
    dial.last.silent = true;
    dial.last.holdOpens = true;
    const lost = open(carrier);
    await clock.advance(14_500);
    dial.last.pendingOpens[0]?.fail(CHANNEL_TIMEOUT);
    expect(await outcome(lost)).toBe('CHANNEL_TIMEOUT');
    await clock.advance(15_000);
    expect(dial.atMs).toEqual([0, 30_500]);
  });

  test('costs one timer, no faster than the keepalive', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(100_000);
    expect([clock.pending, dial.last.pings]).toEqual([1, 7]); // one at the start, one an interval
    expect(carrier.status.latencyMs).toBe(7);
  });
});

describe('open', () => {
  test('waits for the link that it needs itself, and has it idle afterwards', async () => {
    const carrier = aCarrier();
    const channel = await open(carrier);
    channel.attach(aSink());
    expect(carrier.status.phase).toBe('up');
  });

  test('waits out an outage and is served on the next link', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.then(REFUSED, REFUSED);
    dial.last.lose();
    const held = open(carrier);
    expect(await outcome(held)).toBe('pending');
    await clock.advance(1_100);
    expect(await outcome(held)).toBe('fulfilled');
  });

  test('where clients are not held waits for the first dial, and no longer than that', async () => {
    const carrier = aCarrier({ whileDown: { hold: false, holdMs: 15_000, queue: 256 } });
    dial.then(REFUSED);
    const [first, second] = [open(carrier), open(carrier)];
    expect(await Promise.all([first, second].map(outcome))).toEqual(['CONNECT_REFUSED', 'CONNECT_REFUSED']);

    await clock.advance(60_000);
    const next = open(carrier);

    expect(await outcome(next)).toBe('fulfilled');
  });

  test('cuts a long backoff short to initial, again for each try while it is held', async () => {
    const carrier = aCarrier();
    dial.then(...Array.from({ length: 9 }, () => REFUSED));
    carrier.need();
    await clock.advance(40_000); // the next try would come at 62.5 s
    const tries = dial.atMs.length;
    const held = open(carrier);
    await clock.advance(1_500);
    expect(dial.atMs.slice(tries)).toEqual([40_000, 40_500, 41_000]);
    expect(await outcome(held)).toBe('fulfilled');
  });

  test('that is lost with its link is made again on the next one', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.last.holdOpens = true;
    const held = open(carrier);
    await settle();
    dial.last.lose();
    await clock.advance(100);
    expect([await outcome(held), dial.transports.map(({ channels }) => channels.length)]).toEqual([
      'fulfilled',
      [0, 1],
    ]);
  });

  test('that a dying link fails before it says so itself is not tried on it again', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.last.holdOpens = true;
    const held = open(carrier);
    await settle();
    dial.last.pendingOpens[0]?.fail(LOST);
    await settle();
    expect([await outcome(held), dial.last.pendingOpens.length]).toEqual(['pending', 1]);
    dial.last.lose();
    await clock.advance(100);
    expect(await outcome(held)).toBe('fulfilled');
  });

  test('that the target refuses is rejected at once and leaves the link up', async () => {
    const carrier = await anUpCarrier();
    dial.last.holdOpens = true;
    const refused = open(carrier);
    await settle();
    dial.last.pendingOpens[0]?.fail(TARGET_REFUSED);
    expect([await outcome(refused), carrier.status.phase, dial.atMs]).toEqual(['TARGET_REFUSED', 'up', [0]]);
  });

  test('ends with its signal: with the reason given, or with HOLD_EXPIRED and why, where time ran out', async () => {
    const carrier = aCarrier();
    dial.then(REFUSED, ...Array.from({ length: 9 }, () => 'hang' as const));
    carrier.need();
    await clock.advance(0);
    const gone = new TunnelError('INTERRUPTED', 'Cannot wait: the client left');
    const [leaver, timer] = [new AbortController(), new AbortController()];
    const [left, late] = [open(carrier, leaver.signal), open(carrier, timer.signal)];
    leaver.abort(gone);
    timer.abort(new DOMException('time is over', 'TimeoutError'));
    await expect(left).rejects.toBe(gone);
    await expect(late).rejects.toMatchObject({
      code: 'HOLD_EXPIRED',
      message: expect.stringContaining(REFUSED.message) as string,
    });
  });

  test('beyond the queue is refused with LIMIT_REACHED', async () => {
    dial.then('hang');
    const carrier = aCarrier({ whileDown: { hold: true, holdMs: 15_000, queue: 2 } });
    const opens = [open(carrier), open(carrier), open(carrier)];
    expect(await Promise.all(opens.map(outcome))).toEqual(['pending', 'pending', 'LIMIT_REACHED']);
  });

  test('with hold off is rejected at once in an outage with its reason, and waits for the first connect', async () => {
    const carrier = aCarrier({ whileDown: { hold: false, holdMs: 15_000, queue: 256 } });
    const first = open(carrier);
    await clock.advance(0);
    expect(await outcome(first)).toBe('fulfilled');
    await clock.advance(60_000);
    dial.then(REFUSED);
    dial.last.lose();
    carrier.need();
    await clock.advance(200);
    expect(await outcome(open(carrier))).toBe('CONNECT_REFUSED');
  });

  test('on a failed link is rejected at once with its error, those held before as well, and dials nothing', async () => {
    dial.then(LOGIN_REFUSED);
    const carrier = aCarrier();
    const before = open(carrier);
    await clock.advance(0);
    const after = open(carrier);
    await clock.advance(60_000);
    expect(await Promise.all([before, after].map(outcome))).toEqual(['LOGIN_REFUSED', 'LOGIN_REFUSED']);
    expect([carrier.status.phase, carrier.status.lastError, dial.atMs]).toEqual(['failed', LOGIN_REFUSED, [0]]);
  });

  test('on a link that waits for a person is held until the person has come', async () => {
    dial.then(NEEDS_PERSON);
    const carrier = aCarrier();
    const held = open(carrier);
    await clock.advance(10_000);
    expect([await outcome(held), carrier.status.phase, dial.atMs]).toEqual(['pending', 'waiting', [0]]);
    carrier.retry();
    await clock.advance(0);
    expect([await outcome(held), dial.atMs]).toEqual(['fulfilled', [0, 10_000]]);
  });

  test('adds nothing to the path of the bytes', async () => {
    const carrier = await anUpCarrier();
    const channel = await open(carrier);
    const sink = aSink();
    channel.attach(sink);
    expect(channel).toBe(dial.last.channels[0]);
    expect(dial.last.channels[0]?.sink).toBe(sink);
    // What is shadowed is called once a connection; the rest is the transport's and the forward's own.
    const shadowed = ['write', 'end', 'pause', 'resume', 'attach', 'abort'].filter((name) =>
      Object.hasOwn(channel, name),
    );
    expect(shadowed).toEqual(['attach', 'abort']);
  });
});

describe('a refused login', () => {
  test('of a link that was logged in is tried once more 10 s later, then final', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(60_000);
    dial.then(LOGIN_REFUSED, LOGIN_REFUSED);
    dial.last.lose();
    await clock.advance(200_000);
    expect([carrier.status.phase, dial.atMs]).toEqual(['failed', [0, 60_000, 70_000]]);
  });

  test('shows no old error once a person tries again', async () => {
    dial.then(LOGIN_REFUSED, 'hang');
    const carrier = aCarrier();
    carrier.need();
    await clock.advance(0);
    carrier.retry();
    await clock.advance(1_000);
    expect(carrier.status).toMatchObject({ phase: 'connecting', lastError: null });
  });
});

describe('the budget', () => {
  test('makes a retry wait that would bother the server, and says until when', async () => {
    dial.then(LOGIN_REFUSED);
    const carrier = aCarrier();
    carrier.need();
    await clock.advance(200);
    carrier.retry();
    await clock.advance(0);
    expect(carrier.status).toMatchObject({ phase: 'connecting', nextRetryAtMs: clock.wallMs() + 800 });
    await clock.advance(800);
    expect(carrier.status).toMatchObject({ phase: 'up', nextRetryAtMs: null });
    expect(dial.atMs).toEqual([0, 1_000]);
  });

  test('lets a server that drops every connection see 6 of them in 30 s, also while clients are held', async () => {
    dial.then(...Array.from({ length: 50 }, () => LOST));
    const carrier = aCarrier();
    void outcome(open(carrier));
    await clock.advance(29_999);
    expect(dial.atMs).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000]);
    await clock.advance(2_000);
    expect(dial.atMs.slice(6)).toEqual([30_000, 31_000]);
  });

  test.each([
    ['a server that refuses the connection saw nothing of us', [aHop()], 60],
    ['a jump host on the way to one did', [aHop(), aHop()], 6],
    ['so may whatever a proxyCommand connects to', [aHop({ proxyCommand: 'nc %h %p' })], 6],
  ])('%s', async (_, hops, tries) => {
    dial.then(...Array.from({ length: 100 }, () => REFUSED));
    const carrier = aCarrier({ hops });
    void outcome(open(carrier)); // held, so that a try follows each 0.5 s
    await clock.advance(29_999);
    expect(dial.atMs.length).toBe(tries);
  });
});

test('a path that flaps 20 times, up for 1.3 s and down for 0.7 s, serves its clients with one login each time', async () => {
  const down = (): boolean => clock.nowMs() % 2_000 >= 1_300;
  const flapping: Dial = (request) => (down() ? Promise.reject(REFUSED) : dial.dial(request));
  const carrier = aCarrier({}, { dial: flapping });
  carrier.need();
  const served: Promise<string>[] = [];
  for (let flap = 0; flap < 20; flap += 1) {
    const leave = new AbortController();
    const opened = open(carrier, leave.signal);
    await clock.advance(1_300);
    served.push(outcome(opened));
    leave.abort(new Error('too late'));
    dial.last.lose();
    await clock.advance(700);
  }
  const windows = (await Promise.all(served)).filter((end) => end === 'fulfilled').length;
  expect([windows >= 18, dial.atMs.length <= 25]).toEqual([true, true]);
  const last = open(carrier);
  await clock.advance(1_200);
  expect(await outcome(last)).toBe('fulfilled');
});

describe('renew', () => {
  const moved = aTunnelPlan({ name: 'pop', hops: [aHop({ host: 'new.example.org' })] });

  test('moves to the new link once it is up, and leaves the old one to its channels', async () => {
    const carrier = await anUpCarrier();
    const old = dial.last;
    let ended: unknown = 'open';
    (await open(carrier)).attach(aSink((error) => (ended = error)));
    carrier.renew(moved);
    await clock.advance(0);
    await open(carrier);
    expect(dial.transports.map(({ channels, ended: end }) => [channels.length, end])).toEqual([
      [1, null],
      [1, null],
    ]);
    expect(dial.requests[1]?.hops[0]?.host).toBe('new.example.org');
    expect(ended).toBe('open');
    old.channels[0]?.finish();
    await clock.advance(0);
    expect([old.ended?.code, ended, carrier.status.phase]).toEqual(['STOPPED', undefined, 'up']);
  });

  test('ends channels on the old link that take longer than the drain', async () => {
    const carrier = await anUpCarrier();
    const old = dial.last;
    (await open(carrier)).attach(aSink());
    carrier.renew(moved);
    await clock.advance(RENEW_DRAIN_MS - 1);
    expect(old.ended).toBeNull();
    await clock.advance(1);
    expect(old.ended?.code).toBe('STOPPED');
  });

  test('keeps the old link, and says so, where the new login is refused', async () => {
    const carrier = await anUpCarrier();
    dial.then(LOGIN_REFUSED);
    carrier.renew(moved);
    await clock.advance(60_000);
    expect([carrier.status.phase, carrier.status.lastError, dial.atMs.length]).toEqual(['up', null, 2]);
    expect(notes).toEqual([`The old connection to alice@pop.example.org stays in use: ${LOGIN_REFUSED.message}`]);
    expect(carrier.status.renewalError).toBe(LOGIN_REFUSED);
    const channel = await open(carrier);
    expect(channel).toBe(dial.transports[0]?.channels[0]);
  });

  test('says in its status why the new link is not up yet, until it is', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(1_000);
    dial.then(REFUSED);
    carrier.renew(moved);
    await clock.advance(100);
    expect([carrier.status.phase, carrier.status.renewalError]).toEqual(['up', REFUSED]);
    await clock.advance(10_000);
    expect([carrier.status.phase, carrier.status.renewalError]).toEqual(['up', undefined]);
  });

  test('goes on with the new link where the old one is lost meanwhile, and redials the old one no more', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(1_000);
    dial.then(REFUSED);
    carrier.renew(moved);
    await clock.advance(100);
    dial.last.lose();
    await clock.advance(10_000);
    expect(dial.requests.map(({ hops }) => hops[0]?.host)).toEqual([
      'pop.example.org',
      'new.example.org',
      'new.example.org',
    ]);
    expect(carrier.status.phase).toBe('up');
  });

  test('an old link that is lost while it drains is not dialled again', async () => {
    const carrier = await anUpCarrier();
    const old = dial.last;
    await open(carrier); // and never read: nothing tells that this channel ends
    carrier.renew(moved);
    await clock.advance(1_000);
    old.lose();
    await clock.advance(60_000);
    expect([dial.atMs.length, carrier.status.phase]).toEqual([2, 'up']);
  });

  test('of a link that is not up replaces it, keeps who is held, and leaves failed', async () => {
    dial.then(NEEDS_PERSON);
    const carrier = aCarrier();
    const held = open(carrier);
    await clock.advance(2_000);
    carrier.renew(moved);
    await clock.advance(0);
    expect([await outcome(held), dial.requests.map(({ hops }) => hops[0]?.host)]).toEqual([
      'fulfilled',
      ['pop.example.org', 'new.example.org'],
    ]);
  });

  test.each([['before', 0, []] as const, ['while', 100, ['hang']] as const])(
    'whoever needs a link again after a moment without need, %s the new one is dialled, gets the new plan',
    async (_when, afterMs, outcomes) => {
      const carrier = aCarrier();
      const release = carrier.need();
      await clock.advance(1_000);
      dial.then(...outcomes);
      carrier.renew(moved);
      await clock.advance(afterMs);
      release();
      carrier.need();
      await clock.advance(10_000);
      await open(carrier);
      expect([dial.requests.at(-1)?.hops[0]?.host, dial.last.channels.length]).toEqual(['new.example.org', 1]);
      expect(dial.transports[0]?.ended?.code).toBe('STOPPED');
    },
  );

  test('a refused new link is tried again once the old one is lost, which is not dialled again', async () => {
    const carrier = await anUpCarrier();
    await clock.advance(1_000);
    dial.then(LOGIN_REFUSED);
    carrier.renew(moved);
    await clock.advance(60_000);
    dial.last.lose();
    await clock.advance(10_000);
    expect([carrier.status.phase, dial.requests.map(({ hops }) => hops[0]?.host)]).toEqual([
      'up',
      ['pop.example.org', 'new.example.org', 'new.example.org'],
    ]);
  });

  test('that nobody needs by the time its link is up leaves none up', async () => {
    const carrier = aCarrier();
    const channel = await open(carrier); // on demand: it is the need itself, and stays in use
    channel.attach(aSink());
    carrier.renew(moved);
    await clock.advance(60_000);
    expect(carrier.status.phase).toBe('idle');
    dial.transports[0]?.channels[0]?.finish();
    await clock.advance(60_000);
    expect(dial.transports.map(({ ended }) => ended?.code)).toEqual(['STOPPED', 'STOPPED']);
  });

  test('twice in a row leaves one successor', async () => {
    const carrier = await anUpCarrier();
    dial.then('hang');
    carrier.renew(moved);
    await clock.advance(100);
    carrier.renew();
    await clock.advance(60_000);
    expect([dial.open, dial.transports.map(({ ended }) => ended?.code)]).toEqual([0, ['STOPPED', undefined]]);
  });
});

describe('listen', () => {
  const bind: Endpoint = { kind: 'tcp', host: 'localhost', port: 8080 };

  interface Told {
    readonly listening?: Endpoint;
    readonly lost?: string;
  }

  function listen(carrier: LinkCarrier, at: Endpoint = bind): { told: Told[]; close: () => Promise<void> } {
    const told: Told[] = [];
    const listener = carrier.listen(at, () => undefined, {
      listening: (listening) => told.push({ listening }),
      lost: (error) => told.push({ lost: error.code }),
    });
    return { told, close: () => listener.close() };
  }

  test('is asked for again on each new link', async () => {
    const carrier = await anUpCarrier();
    const { told } = listen(carrier);
    await clock.advance(60_000);
    dial.last.lose();
    await clock.advance(1_000);
    expect(told).toEqual([{ listening: bind }, { lost: 'CONNECTION_LOST' }, { listening: bind }]);
  });

  test('that is refused from the first is told once and not asked for again on that link', async () => {
    const carrier = await anUpCarrier();
    dial.last.refusals.push(FORWARD_REFUSED);
    const { told } = listen(carrier);
    await clock.advance(60_000);
    expect([told, dial.last.listening.size]).toEqual([[{ lost: 'FORWARD_REFUSED' }], 0]);
  });

  test('that is refused after an outage is asked for with backoff: the server may still hold the old one', async () => {
    const carrier = await anUpCarrier();
    const { told } = listen(carrier);
    await clock.advance(60_000);
    dial.nextRefusals = [FORWARD_REFUSED, FORWARD_REFUSED];
    dial.last.lose();
    await clock.advance(1_499); // refused at once and after 0.5 s, the next after 1 s more
    expect(told.slice(1).map(({ lost }) => lost)).toEqual(['CONNECTION_LOST', 'FORWARD_REFUSED', 'FORWARD_REFUSED']);
    await clock.advance(1);
    expect(told.at(-1)).toEqual({ listening: bind });
    expect(carrier.status.phase).toBe('up');
  });

  test('whose backoff is under way when the link is lost asks on the next link only', async () => {
    const carrier = await anUpCarrier();
    const { told } = listen(carrier);
    await clock.advance(60_000);
    dial.nextRefusals = [FORWARD_REFUSED];
    dial.last.lose();
    await clock.advance(100);
    dial.last.lose();
    await clock.advance(2_000);
    expect(told.slice(1)).toEqual([{ lost: 'CONNECTION_LOST' }, { lost: 'FORWARD_REFUSED' }, { listening: bind }]);
  });

  test('gives up a port that the server chose once it is refused too often, for another one', async () => {
    const carrier = await anUpCarrier();
    const { told } = listen(carrier, { ...bind, port: 0 });
    await clock.advance(60_000);
    dial.nextRefusals = Array.from({ length: 6 }, () => FORWARD_REFUSED);
    dial.last.lose();
    await clock.advance(60_000);
    expect(told.at(-1)).toEqual({ listening: { ...bind, port: 40_100 } });
    expect(told.filter(({ lost }) => lost === 'FORWARD_REFUSED').length).toBe(6);
  });

  test('on a port that the server chose asks for the same one on the next link', async () => {
    const carrier = await anUpCarrier();
    const { told } = listen(carrier, { ...bind, port: 0 });
    await clock.advance(60_000);
    dial.last.lose();
    await clock.advance(1_000);
    const chosen = { ...bind, port: 40_000 };
    expect(told.map(({ listening }) => listening)).toEqual([chosen, undefined, chosen]);
    expect([...dial.last.listening.keys()]).toEqual([JSON.stringify(chosen)]);
  });

  test('moves to the new link of a renew: cancelled on the old one first', async () => {
    const carrier = await anUpCarrier();
    const old = dial.last;
    const { told } = listen(carrier);
    await settle();
    carrier.renew();
    await clock.advance(2_000);
    expect(old.cancelled).toEqual([bind]);
    expect(old.ended?.code).toBe('STOPPED');
    expect(told).toEqual([{ listening: bind }, { listening: bind }]);
    expect(dial.last.listening.size).toBe(1);
  });

  test('close cancels on the server, once', async () => {
    const carrier = await anUpCarrier();
    const { close } = listen(carrier);
    await settle();
    await Promise.all([close(), close()]);
    expect([dial.last.cancelled, dial.last.listening.size]).toEqual([[bind], 0]);
  });

  test('close in the middle of a request cancels what is then granted', async () => {
    const carrier = await anUpCarrier();
    let grant: () => void = () => undefined;
    dial.last.beforeListen = new Promise((resolve) => (grant = resolve));
    const { told, close } = listen(carrier);
    await settle();
    const closed = close();
    grant();
    await closed;
    expect([told, dial.last.cancelled, dial.last.listening.size]).toEqual([[], [bind], 0]);
  });
});

describe('close', () => {
  test('ends at once without channels, rejects who is held, and dials no more', async () => {
    dial.then('hang');
    const carrier = aCarrier();
    const held = open(carrier);
    await clock.advance(10);
    const closed = carrier.close(10_000);
    await clock.advance(0);
    expect(await Promise.all([held, closed, open(carrier)].map(outcome))).toEqual(['STOPPED', 'fulfilled', 'STOPPED']);
    carrier.retry();
    carrier.renew();
    carrier.need();
    await clock.advance(60_000);
    expect([dial.atMs, clock.pending]).toEqual([[0], 0]);
  });

  test('waits for channels until the drain is over', async () => {
    const carrier = await anUpCarrier();
    (await open(carrier)).attach(aSink());
    const closed = carrier.close(10_000);
    await clock.advance(9_999);
    expect(await outcome(closed)).toBe('pending');
    await clock.advance(1);
    expect([await outcome(closed), dial.last.ended?.code]).toEqual(['fulfilled', 'STOPPED']);
  });

  test('resolves as soon as the last channel has ended', async () => {
    const carrier = await anUpCarrier();
    (await open(carrier)).attach(aSink());
    const closed = carrier.close(10_000);
    await clock.advance(1_000);
    dial.last.channels[0]?.finish();
    await clock.advance(0);
    expect([await outcome(closed), clock.pending]).toEqual(['fulfilled', 0]);
  });

  test('called again with less time shortens the drain', async () => {
    const carrier = await anUpCarrier();
    (await open(carrier)).attach(aSink());
    const closes = [carrier.close(60_000), carrier.close(0)];
    await clock.advance(0);
    expect(await Promise.all(closes.map(outcome))).toEqual(['fulfilled', 'fulfilled']);
    expect(await outcome(carrier.close(0))).toBe('fulfilled');
  });

  test('a link that is lost while it drains is not dialled again', async () => {
    const carrier = await anUpCarrier();
    (await open(carrier)).attach(aSink());
    const closed = carrier.close(60_000);
    dial.last.lose();
    await clock.advance(60_000);
    expect([await outcome(closed), dial.atMs]).toEqual(['fulfilled', [0]]);
  });

  test('a goodbye that the server does not take is not waited for', async () => {
    const carrier = await anUpCarrier();
    dial.last.close = () => undefined;
    const closed = carrier.close(0);
    await clock.advance(3_000);
    expect(await outcome(closed)).toBe('fulfilled');
  });
});

test('subscribers hear of every change, until they stop', async () => {
  const carrier = aCarrier();
  const phases: string[] = [];
  const stop = carrier.subscribe(() => phases.push(carrier.status.phase));
  carrier.need();
  await clock.advance(0);
  expect([phases[0], phases.at(-1)]).toEqual(['connecting', 'up']);
  stop();
  const heard = phases.length;
  dial.last.lose();
  await clock.advance(1_000);
  expect(phases.length).toBe(heard);
});
