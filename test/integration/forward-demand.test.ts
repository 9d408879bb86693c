import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { TunnelError } from '../../src/model/failure.ts';
import type { DemandPlan } from '../../src/model/plan.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { aStartedForward } from '../support/forward-fixture.ts';
import { LocalCarrier } from '../support/local-carrier.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';

const IDLE: DemandPlan = { idleMs: 600_000, lifetimeMs: null };
const REFUSE = { hold: false, holdMs: 15_000, queue: 256 };

async function says(port: number, words: string): Promise<string> {
  const socket = await client(port);
  socket.end(words);
  return (await transcript(socket)).text;
}

describe('a forward on demand', () => {
  test('needs no link until somebody connects; all who come meanwhile are served', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, {
      carrier: new LocalCarrier(false),
      plan: { demand: IDLE },
    });
    expect([it.carrier.needs, it.forward.facts]).toMatchObject([
      0,
      { listening: true, demand: { open: false, closesAtMs: null } },
    ]);

    const answers = ['one', 'two', 'three'].map((words) => says(it.port, words));
    await eventually(() => it.carrier.waiting === 3);
    expect([it.carrier.needs, it.forward.facts.demand]).toEqual([1, { open: true, closesAtMs: null }]);
    it.carrier.comeBack();

    expect(await Promise.all(answers)).toEqual(['one', 'two', 'three']);
  });

  test('gives the link up when its last connection was gone for the idle time, and says when that will be', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    await using it = await aStartedForward(target.endpoint, { clock, plan: { demand: IDLE } });
    const silent = await client(it.port);
    silent.write('hello');
    await once(silent, 'data');
    await clock.advance(3_600_000);
    expect([it.carrier.needs, it.forward.facts.openConnections]).toEqual([1, 1]); // open and silent is in use

    silent.end();
    await eventually(() => it.forward.facts.openConnections === 0);
    expect(it.forward.facts.demand).toEqual({ open: true, closesAtMs: clock.wallMs() + 600_000 });
    await clock.advance(599_999);
    expect(it.carrier.needs).toBe(1);
    const { count } = it.changes;
    await clock.advance(1);

    expect([it.carrier.needs, it.forward.facts.demand]).toEqual([0, { open: false, closesAtMs: null }]);
    expect(it.changes.count).toBeGreaterThan(count);
    expect(await says(it.port, 'again')).toBe('again');
    expect(it.carrier.needs).toBe(1);
  });

  test('serves its first client although it refuses in an outage, which it then leaves to the link to know', async () => {
    await using target = await TcpTarget.start(echo);
    await using it = await aStartedForward(target.endpoint, {
      carrier: new LocalCarrier(false),
      plan: { demand: IDLE },
      whileDown: REFUSE,
    });
    const answer = says(it.port, 'first');
    await eventually(() => it.carrier.waiting === 1);

    it.carrier.comeBack();

    expect(await answer).toBe('first');
  });

  test('cuts what is open at the end of its lifetime, with the reason, and serves the next client', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const demand = { idleMs: 600_000, lifetimeMs: 3_600_000 };
    await using it = await aStartedForward(target.endpoint, { clock, plan: { demand } });
    const busy = await client(it.port);
    busy.write('hello');
    await once(busy, 'data');
    const cut = transcript(busy);
    await clock.advance(3_600_000);

    expect((await cut).end).toBe('ECONNRESET');
    expect(it.carrier.needs).toBe(0);
    await eventually(() => it.records.length === 1);
    expect(it.records[0]).toMatchObject({
      end: 'STOPPED',
      reason: `Closed a connection to 127.0.0.1:${target.port}: its lifetime of 1h is over`,
    });
    expect(await says(it.port, 'again')).toBe('again');
  });

  test('is probed only while it is open, and a probe keeps it open no longer', async () => {
    await using target = await TcpTarget.start((socket) => {
      socket.write('+OK ready\r\n');
      socket.on('end', () => socket.end()).resume();
    });
    const clock = new FakeClock();
    await using it = await aStartedForward(target.endpoint, {
      clock,
      plan: { demand: IDLE, expect: { kind: 'pop3' } },
    });
    await clock.advance(120_000);
    it.forward.linkChanged();
    expect([target.accepted, it.forward.facts.health]).toEqual([0, null]);

    const mail = await client(it.port);
    await once(mail, 'data');
    await eventually(() => it.forward.facts.health === 'ok');
    mail.destroy();
    await eventually(() => it.forward.facts.openConnections === 0);
    await clock.advance(600_000);

    expect([it.carrier.needs, it.forward.facts.health]).toEqual([0, null]);
    await eventually(() => target.sockets.size === 0);
    const { opens } = it.carrier; // the target may still be told of the last one
    await clock.advance(600_000);
    expect(it.carrier.opens).toBe(opens);
  });

  test('a probe that hangs at the idle time is cut, so that the link can go', async () => {
    await using target = await TcpTarget.start((socket) => socket.on('end', () => socket.end()).resume());
    const clock = new FakeClock();
    const probe = { everyMs: 600_000, timeoutMs: 600_000 };
    await using it = await aStartedForward(target.endpoint, {
      clock,
      probe,
      plan: { demand: { idleMs: 1_000, lifetimeMs: null }, expect: { kind: 'pop3' } },
    });
    const first = await client(it.port);
    await eventually(() => it.carrier.channels.size === 2, { what: 'the channels of the client and of the probe' });
    first.destroy();
    await eventually(() => it.forward.facts.openConnections === 0);
    await clock.advance(1_000);

    expect(it.carrier.needs).toBe(0);
    await eventually(() => it.carrier.channels.size === 0);
  });

  test('a client who is refused for its address is no use', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    await using it = await aStartedForward(target.endpoint, {
      clock,
      carrier: new LocalCarrier(false),
      plan: { demand: IDLE, allow: ['10.0.0.0/8'] },
    });

    await transcript(await client(it.port));

    expect([it.carrier.needs, it.forward.facts.demand?.open]).toEqual([0, false]);
  });

  test('closed in the middle of its countdown it holds nothing', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    const it = await aStartedForward(target.endpoint, { clock, plan: { demand: IDLE } });
    await says(it.port, 'hello');
    await eventually(() => it.forward.facts.demand?.closesAtMs !== null);

    await it.forward.close(10_000);

    expect([it.carrier.needs, clock.pending]).toEqual([0, 0]);
  });

  test('a target that is refused counts as use: the countdown begins anew', async () => {
    await using target = await TcpTarget.start(echo);
    const clock = new FakeClock();
    await using it = await aStartedForward(target.endpoint, { clock, plan: { demand: IDLE } });
    it.carrier.refuse(new TunnelError('TARGET_REFUSED', 'Cannot reach it: Connection refused'));
    await says(it.port, 'hello').catch(() => '');
    await eventually(() => it.forward.facts.openConnections === 0);

    expect(it.forward.facts.demand).toEqual({ open: true, closesAtMs: clock.wallMs() + 600_000 });
  });
});
