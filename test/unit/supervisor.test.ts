import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TunnelError, type FailureCode } from '../../src/model/failure.ts';
import type { Caller } from '../../src/model/request.ts';
import type { StatusEvent, TunnelState } from '../../src/model/status.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { settle } from '../support/fake-clock.ts';
import { aForward, aHop, heard, Stage } from '../support/supervisor-parts.ts';

const caller: Caller = { cwd: '/home/ada' };

function states(supervisor: TunnelSupervisor): Record<string, TunnelState> {
  return Object.fromEntries(supervisor.snapshot().tunnels.map(({ name, state }) => [name, state]));
}

async function codeOf(work: Promise<unknown>): Promise<FailureCode | 'nothing'> {
  try {
    await work;
    return 'nothing';
  } catch (error) {
    if (error instanceof TunnelError) return error.code;
    throw error;
  }
}

function notes(events: readonly StatusEvent[]): readonly string[] {
  return events.flatMap((event) => (event.event === 'note' ? [`${event.level} ${event.message}`] : []));
}

const unhandled: unknown[] = [];
const catchUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', catchUnhandled));
afterEach(async () => {
  await settle();
  process.off('unhandledRejection', catchUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

describe('up', () => {
  test('starts the forwards, answers before the link is up, and tells each change of state once', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    const events = heard(supervisor);
    const started = await supervisor.up({ names: ['mail'] }, caller);
    stage.carrier('mail').set({ phase: 'connecting' });
    stage.carrier('mail').set({ phase: 'up', latencyMs: 12 });
    await settle();
    expect(started).toEqual([{ name: 'mail', already: false, reloaded: false }]);
    const told = events.map((event) => (event.event === 'tunnel' ? event.status.state : event.event));
    expect(told).toEqual(['connecting', 'up']);
    expect(supervisor.snapshot()).toEqual({
      version: 1,
      supervisor: { pid: process.pid, startedAt: '2026-01-01T00:00:00.000Z', version: '1.2.3' },
      tunnels: [
        {
          name: 'mail',
          state: 'up',
          since: '2026-01-01T00:00:00.000Z',
          via: 'alice@pop.example.org',
          latencyMs: 12,
          reconnects: 0,
          lastError: null,
          nextRetryAt: null,
          forwards: [
            {
              name: 'pop1110',
              kind: 'local',
              bind: '127.0.0.1:1110',
              target: 'pop.example.org:110',
              state: 'up',
              health: null,
              openConnections: 0,
              totalConnections: 0,
              receivedBytes: 0,
              sentBytes: 0,
              lastError: null,
            },
          ],
        },
      ],
    });
  });

  test('tells what a probe met with, since when, and each other reason, until the service is well', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    stage.carrier('mail').set({ phase: 'up' });
    await stage.clock.advance(1_000);
    const events = heard(supervisor);
    const at = new Date(stage.clock.wallMs()).toISOString();
    const busy = new TunnelError('SERVICE_UNHEALTHY', 'Cannot see pop3', { hint: 'Check it.' });
    const healthError = { code: 'SERVICE_UNHEALTHY', message: 'Cannot see pop3', hint: 'Check it.', at };
    const forward = stage.forward('pop1110');
    forward.set({ health: 'failing', healthError: busy });
    await settle();
    await stage.clock.advance(60_000);
    expect(supervisor.snapshot().tunnels[0]?.forwards[0]).toMatchObject({ health: 'failing', healthError });

    forward.set({ health: 'failing', healthError: new TunnelError('TIMED_OUT', 'Silent') });
    await stage.clock.advance(60_000);
    const { healthError: _, ...well } = forward.facts;
    forward.facts = well;
    forward.set({ health: 'ok' });
    await settle();

    expect(supervisor.snapshot().tunnels[0]?.forwards[0]).not.toHaveProperty('healthError');
    const told = events.flatMap((event) => (event.event === 'tunnel' ? (event.status.forwards[0] ?? []) : []));
    expect(told.map(({ health, healthError: why }) => [health, why?.code])).toEqual([
      ['failing', 'SERVICE_UNHEALTHY'],
      ['failing', 'TIMED_OUT'],
      ['ok', undefined],
    ]);
  });

  test('with one bad profile among several changes nothing and tells all that is wrong', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const problem = { file: 'web.yaml', line: 3, column: 5, message: 'unknown field' };
    stage.profiles.set('web', new TunnelError('PROFILE_INVALID', 'Cannot read web.yaml', { problems: [problem] }));
    const supervisor = new TunnelSupervisor(stage.deps);
    const refused = await supervisor.up({ names: ['mail', 'web', 'gone'] }, caller).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'PROFILE_INVALID', problems: [problem] });
    expect([stage.carriers.length, stage.store.saves, supervisor.wantedCount]).toEqual([0, 0, 0]);
  });

  test('of a running tunnel reloads it only if its profile has changed', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    stage.carrier('mail').set({ phase: 'up' });
    const same = await supervisor.up({ names: ['mail'] }, caller);
    stage.profile({ name: 'mail', forwards: [aForward(1110), aForward(1143)] });
    const changed = await supervisor.up({ names: ['mail'] }, caller);
    expect([same, changed]).toEqual([
      [{ name: 'mail', already: true, reloaded: false }],
      [{ name: 'mail', already: true, reloaded: true }],
    ]);
    expect(stage.carrier('mail').calls).toEqual([]);
    expect(stage.forward('pop1110').calls).toEqual(['start', 'linkChanged', 'update']);
  });

  test('refuses a second file under a running name', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    const other = stage.profile({ name: 'mail', file: '/elsewhere/mail.yaml' });
    expect(await codeOf(supervisor.up({ names: [other.file] }, caller))).toBe('USAGE');
  });

  test('by tag or for all takes what there is, and refuses a tag that nothing has', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail', tags: ['home'] });
    stage.profile({ name: 'web', forwards: [aForward(8080)] });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ tag: 'home' }, caller);
    expect(states(supervisor)).toEqual({ mail: 'connecting' });
    await supervisor.up({ all: true }, caller);
    expect(states(supervisor)).toEqual({ mail: 'connecting', web: 'connecting' });
    expect(await codeOf(supervisor.up({ tag: 'moon' }, caller))).toBe('PROFILE_NOT_FOUND');
  });

  test('brings up first what the profile comes after, and lets it dial only then', async () => {
    const stage = new Stage();
    stage.profile({ name: 'vpn', forwards: [aForward(1194)] });
    stage.profile({ name: 'mail', after: ['vpn'] });
    const supervisor = new TunnelSupervisor(stage.deps);
    const started = await supervisor.up({ names: ['mail'] }, caller);
    expect(started.map(({ name }) => name)).toEqual(['vpn', 'mail']);
    let ready = false;
    const waiting = stage.carrier('mail').needs.ready(new AbortController().signal);
    void waiting.then(() => (ready = true));
    await settle();
    expect(ready).toBe(false);
    stage.carrier('vpn').set({ phase: 'up' });
    await waiting;
    await supervisor.down({ names: ['vpn'] }, 0, caller);
    expect(await codeOf(stage.carrier('mail').needs.ready(new AbortController().signal))).toBe('UNREACHABLE');
  });
});

describe('a loss', () => {
  test('keeps the listeners, and the forward is retrying from then on, in the tries too', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    const events = heard(supervisor);
    await supervisor.up({ names: ['mail'] }, caller);
    const carrier = stage.carrier('mail');
    carrier.set({ phase: 'up' });
    await settle();
    const lost = new TunnelError('CONNECTION_LOST', 'Lost the connection to pop.example.org');
    await stage.clock.advance(5_000);
    carrier.set({ phase: 'retrying', lastError: lost, nextRetryAtMs: stage.clock.wallMs() + 500 });
    await settle();
    carrier.set({ phase: 'connecting', nextRetryAtMs: null });
    await settle();
    const told = events.flatMap((event) => (event.event === 'tunnel' ? [event.status] : []));
    const lastError = { code: lost.code, message: lost.message, hint: lost.hint, at: '2026-01-01T00:00:05.000Z' };
    expect(told.slice(2).map((row) => [row.state, row.since, row.nextRetryAt, row.lastError])).toEqual([
      ['retrying', '2026-01-01T00:00:05.000Z', '2026-01-01T00:00:05.500Z', lastError],
      ['retrying', '2026-01-01T00:00:05.000Z', null, lastError],
    ]);
    expect(told.at(-1)?.forwards[0]?.state).toBe('retrying');
    expect(stage.forward('pop1110').calls).toEqual(['start', 'linkChanged', 'linkChanged']);
  });
});

describe('a failure', () => {
  test('closes the listeners, and a person who asks again starts from the beginning', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    const [first, listener] = [stage.carrier('mail'), stage.forward('pop1110')];
    const refused = new TunnelError('LOGIN_REFUSED', 'Cannot log in to pop.example.org: refused');
    first.set({ phase: 'failed', lastError: refused });
    await settle();
    expect(listener.calls).toEqual(['start', 'close 0']);
    expect(first.calls).toEqual(['close 0']);
    const [row] = supervisor.snapshot().tunnels;
    expect([row?.state, row?.lastError?.code, row?.forwards[0]?.state]).toEqual(['failed', 'LOGIN_REFUSED', 'failed']);
    await supervisor.up({ names: ['mail'] }, caller);
    await settle();
    expect([stage.carriers.length, states(supervisor), supervisor.wantedCount]).toEqual([2, { mail: 'connecting' }, 1]);
  });

  test('of one tunnel leaves the others alone, even where its parts throw', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    stage.profile({ name: 'odd', forwards: [aForward(1), aForward(2)] });
    stage.profile({ name: 'mad', forwards: [aForward(3)] });
    stage.onMakeForward = ({ name }) => {
      if (name === 'pop1') throw new Error('this forward throws when it is made');
    };
    stage.onMakeCarrier = ({ name }) => {
      if (name === 'mad') throw new Error('this carrier throws when it is made');
    };
    const supervisor = new TunnelSupervisor(stage.deps);
    const events = heard(supervisor);
    await supervisor.up({ names: ['mad', 'odd', 'mail'] }, caller);
    for (const carrier of stage.carriers) carrier.set({ phase: 'up' });
    await settle();
    expect(states(supervisor)).toEqual({ mad: 'failed', odd: 'retrying', mail: 'up' });
    expect(notes(events)).toEqual([
      'error this carrier throws when it is made',
      'error this forward throws when it is made',
    ]);
  });

  test('of a subscriber is nobody else’s', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    const warnings: string[] = [];
    const warned = new Promise<void>((resolve) => {
      process.once('warning', (warning) => (warnings.push(warning.message), resolve()));
    });
    supervisor.subscribe(() => {
      throw new Error('this subscriber throws');
    });
    const events = heard(supervisor);
    await supervisor.up({ names: ['mail'] }, caller);
    await warned;
    expect([events.length, warnings]).toEqual([1, ['this subscriber throws']]);
  });
});

describe('down', () => {
  test('drains, says stopping, stopped and removed, and withdraws the wish at once', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.restore();
    await supervisor.up({ names: ['mail'] }, caller);
    await settle();
    const events = heard(supervisor);
    stage.forward('pop1110').busy = true;
    const down = supervisor.down({ names: ['mail'] }, 10_000, caller);
    await settle();
    expect([states(supervisor), supervisor.wantedCount, stage.store.memory.wanted]).toEqual([
      { mail: 'stopping' },
      0,
      [],
    ]);
    stage.forward('pop1110').drained();
    expect(await down).toEqual(['mail']);
    expect(supervisor.snapshot().tunnels).toEqual([]);
    expect(events.map((event) => (event.event === 'tunnel' ? event.status.state : event.event))).toEqual([
      'stopping',
      'stopped',
      'removed',
    ]);
  });

  test('of a profile that does not run is done, of an unknown name refused', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    stage.profiles.set('web', new TunnelError('PROFILE_INVALID', 'Cannot read web.yaml'));
    const supervisor = new TunnelSupervisor(stage.deps);
    expect(await supervisor.down({ names: ['mail', 'web'] }, 0, caller)).toEqual(['mail', 'web']);
    expect(await codeOf(supervisor.down({ names: ['gone'] }, 0, caller))).toBe('PROFILE_NOT_FOUND');
    expect(await supervisor.down({ all: true }, 0, caller)).toEqual([]);
  });

  test('again with less time shortens the drain, and an up in between waits for its end', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    stage.forward('pop1110').busy = true;
    const slow = supervisor.down({ names: ['mail'] }, 10_000, caller);
    const again = supervisor.up({ names: ['mail'] }, caller);
    await settle();
    expect(states(supervisor)).toEqual({ mail: 'stopping' });
    const fast = supervisor.stop('mail', 0);
    await Promise.all([slow, again]);
    await fast;
    expect(stage.carriers).toHaveLength(2);
  });

  test('does not wait for ever for a forward that cannot close', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    const events = heard(supervisor);
    await supervisor.up({ names: ['mail'] }, caller);
    stage.forward('pop1110').busy = true;
    const down = supervisor.down({ names: ['mail'] }, 1_000, caller);
    await stage.clock.advance(6_000);
    await down;
    expect([notes(events), states(supervisor)]).toEqual([['error Some connections did not close in time'], {}]);
  });
});

describe('reload and restart', () => {
  async function running(): Promise<{ stage: Stage; supervisor: TunnelSupervisor }> {
    const stage = new Stage();
    stage.profile({ name: 'mail', forwards: [aForward(1110), aForward(1143)] });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    stage.carrier('mail').set({ phase: 'up' });
    await settle();
    return { stage, supervisor };
  }

  test('an unchanged forward keeps its listener, a changed one is replaced, the link stays', async () => {
    const { stage, supervisor } = await running();
    const [kept, changed] = [stage.forward('pop1110'), stage.forward('pop1143')];
    const moved = { ...aForward(1143), target: { kind: 'tcp' as const, host: 'other.example.org', port: 143 } };
    stage.profile({ name: 'mail', forwards: [aForward(1110), moved, aForward(1025)] });
    expect(await supervisor.reload({ all: true }, caller)).toEqual([{ name: 'mail', already: true, reloaded: true }]);
    await settle();
    expect([kept.calls, changed.calls.at(-1)]).toEqual([['start', 'linkChanged', 'update'], 'close 2147483647']);
    expect(stage.carrier('mail').calls).toEqual([]);
    expect(supervisor.snapshot().tunnels[0]?.forwards.map(({ name, state }) => [name, state])).toEqual([
      ['pop1110', 'up'],
      ['pop1143', 'up'],
      ['pop1025', 'up'],
    ]);
    await supervisor.down({ all: true }, 0, caller);
    expect(changed.calls.at(-1)).toBe('close 2147483647'); // it had closed already
  });

  test('a changed server moves to a new link, and the forwards stay', async () => {
    const { stage, supervisor } = await running();
    const forwards = [aForward(1110), aForward(1143)];
    stage.profile({ name: 'mail', forwards, hops: [aHop({ port: 2222 })] });
    await supervisor.reload({ names: ['mail'] }, caller);
    expect([stage.carrier('mail').calls, stage.forward('pop1110').calls.includes('close 0')]).toEqual([
      ['renew mail'],
      false,
    ]);
  });

  test('a profile with mistakes is refused, and what runs goes on', async () => {
    const { stage, supervisor } = await running();
    stage.profiles.set('mail', new TunnelError('PROFILE_INVALID', 'Cannot read mail.yaml'));
    expect(await codeOf(supervisor.reload({ all: true }, caller))).toBe('PROFILE_INVALID');
    expect(states(supervisor)).toEqual({ mail: 'up' });
  });

  test('restart moves to a new link; of a stopped tunnel it is refused, reload of one does nothing', async () => {
    const { stage, supervisor } = await running();
    stage.profile({ name: 'web' });
    expect(await supervisor.restart({ names: ['mail'] }, caller)).toEqual([
      { name: 'mail', already: true, reloaded: false },
    ]);
    expect(stage.carrier('mail').calls).toEqual(['renew mail']);
    expect(await codeOf(supervisor.restart({ names: ['mail', 'web'] }, caller))).toBe('NOT_RUNNING');
    expect(await codeOf(supervisor.restart({ names: ['gone'] }, caller))).toBe('PROFILE_NOT_FOUND');
    expect(await supervisor.reload({ names: ['web'] }, caller)).toEqual([]);
  });
});

describe('a tunnel that waits for a person', () => {
  test('keeps its listeners, and tries again as soon as somebody attends', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    const carrier = stage.carrier('mail');
    carrier.set({
      phase: 'waiting',
      lastError: new TunnelError('NEEDS_PERSON', 'Cannot log in: a password is needed'),
    });
    await settle();
    expect([states(supervisor), stage.forward('pop1110').calls]).toEqual([{ mail: 'waiting' }, ['start']]);
    const attended = supervisor.attend(
      null,
      { ask: () => undefined, withdrawn: () => undefined },
      { authSock: '/agent' },
    );
    expect([attended.waiting, carrier.calls, carrier.needs.agentSocket()]).toEqual([['mail'], ['retry'], '/agent']);
  });

  test('is waiting while its question is open, and the answer reaches the login', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    const asked: string[] = [];
    const attendant = { ask: ({ id }: { id: string }) => void asked.push(id), withdrawn: () => undefined };
    await supervisor.up({ names: ['mail'] }, caller, attendant);
    const { needs } = stage.carrier('mail');
    const question = { kind: 'password', subject: 'alice@pop', prompt: 'Password:', detail: '', echo: false } as const;
    const answer = needs.ask(question, new AbortController().signal);
    await settle();
    expect(states(supervisor)).toEqual({ mail: 'waiting' });
    supervisor.questions.answer(asked[0] ?? '', 'sesame', attendant);
    expect((await answer).reveal()).toBe('sesame');
    expect(states(supervisor)).toEqual({ mail: 'connecting' });
  });
});

describe('the memory', () => {
  test('what was wanted comes back after a crash, with the last caller’s agent and the kept port', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail', forwards: [aForward(0, 'pop')] });
    const first = new TunnelSupervisor(stage.deps);
    await first.restore();
    await first.up({ names: ['mail'] }, { cwd: '/home/ada', authSock: '/run/agent' });
    stage.forward('pop').context.onBound(40123);
    await settle();
    await first.up({ names: ['mail'] }, caller); // a caller without an agent takes none away
    expect(stage.store.memory).toEqual({
      wanted: [{ name: 'mail', profile: 'mail', cwd: '/home/ada' }],
      authSock: '/run/agent',
      ports: { mail: { pop: 40123 } },
    });
    const second = new Stage(stage.store.memory);
    second.profile({ name: 'mail', forwards: [aForward(0, 'pop')] });
    const supervisor = new TunnelSupervisor(second.deps);
    await supervisor.restore();
    expect(states(supervisor)).toEqual({ mail: 'connecting' });
    expect([second.forward('pop').context.preferredPort, second.carrier('mail').needs.agentSocket()]).toEqual([
      40123,
      '/run/agent',
    ]);
  });

  test('a profile that is gone is said, one with mistakes is shown as failed until it is mended', async () => {
    const stage = new Stage({
      wanted: ['gone', 'bad'].map((name) => ({ name, profile: name, cwd: '/' })),
      ports: {},
    });
    stage.profiles.set('bad', new TunnelError('PROFILE_INVALID', 'Cannot read bad.yaml'));
    const supervisor = new TunnelSupervisor(stage.deps);
    const events = heard(supervisor);
    await supervisor.restore();
    expect([states(supervisor), notes(events)]).toEqual([{ bad: 'failed' }, ['warn Cannot find the profile gone']]);
    expect([supervisor.wantedCount, stage.store.memory.wanted.map(({ name }) => name)]).toEqual([1, ['bad']]);
    stage.profile({ name: 'bad' });
    await supervisor.reload({ all: true }, caller);
    expect([states(supervisor), supervisor.wantedCount]).toEqual([{ bad: 'connecting' }, 1]);
  });

  test('a profile with mistakes that was wanted can be withdrawn for good', async () => {
    const stage = new Stage({ wanted: [{ name: 'bad', profile: 'bad', cwd: '/' }], ports: {} });
    stage.profiles.set('bad', new TunnelError('PROFILE_INVALID', 'Cannot read bad.yaml'));
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.restore();
    expect(await supervisor.down({ names: ['bad'] }, 0, caller)).toEqual(['bad']);
    expect([states(supervisor), stage.store.memory.wanted]).toEqual([{}, []]);
  });

  test('a supervisor that restored nothing leaves what was wanted as it is, and keeps its ports', async () => {
    const wanted = [{ name: 'web', profile: 'web', cwd: '/' }];
    const stage = new Stage({ wanted, authSock: '/old', ports: { web: { http: 40001 } } });
    stage.profile({ name: 'mail', forwards: [aForward(0, 'pop')] });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, { cwd: '/home/ada', authSock: '/new' });
    stage.forward('pop').context.onBound(40123);
    await supervisor.close(0);
    const ports = { web: { http: 40001 }, mail: { pop: 40123 } };
    expect(stage.store.memory).toEqual({ wanted, authSock: '/old', ports });
  });

  test('close keeps what was wanted', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.restore();
    await supervisor.up({ names: ['mail'] }, caller);
    await Promise.all([supervisor.close(0), supervisor.close(0)]);
    expect(stage.store.memory.wanted).toEqual([{ name: 'mail', profile: 'mail', cwd: '/home/ada' }]);
    expect([await codeOf(supervisor.up({ names: ['mail'] }, caller)), stage.clock.pending]).toEqual(['STOPPED', 0]);
  });

  test('a disk that is full is said once, and tunnels go on', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    stage.profile({ name: 'web', forwards: [aForward(8080)] });
    stage.store.refuses = new TunnelError('FILE', 'Cannot write wanted.json: the disk is full');
    const supervisor = new TunnelSupervisor(stage.deps);
    const events = heard(supervisor);
    await supervisor.restore();
    await supervisor.up({ names: ['mail'] }, caller);
    await supervisor.up({ names: ['web'] }, caller);
    expect(notes(events)).toEqual(['error Cannot write wanted.json: the disk is full']);
    expect(states(supervisor)).toEqual({ mail: 'connecting', web: 'connecting' });
  });
});

describe('events', () => {
  test('figures of connections are told together and a little later, bytes alone not at all', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    await settle();
    const events = heard(supervisor);
    const forward = stage.forward('pop1110');
    forward.set({ receivedBytes: 5, sentBytes: 7 });
    await stage.clock.advance(900);
    expect(events).toEqual([]);
    forward.set({ openConnections: 1, totalConnections: 1 });
    forward.set({ openConnections: 2, totalConnections: 2 });
    await stage.clock.advance(900);
    const told = events.flatMap((event) => (event.event === 'tunnel' ? event.status.forwards : []));
    expect(told.map(({ openConnections, sentBytes }) => [openConnections, sentBytes])).toEqual([[2, 7]]);
  });

  test('after sleep every link has to prove itself, and without tunnels no timer is left', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.up({ names: ['mail'] }, caller);
    stage.clock.jumpWall(3_600_000);
    await stage.clock.advance(1_000);
    stage.network = 'wlan0';
    await stage.clock.advance(1_000);
    expect(stage.carrier('mail').calls).toEqual(['wake', 'wake']);
    await supervisor.down({ all: true }, 0, caller);
    expect(stage.clock.pending).toBe(0);
  });
});

describe('for programs', () => {
  test('apply makes the running set exactly the given one, with plans of its own making too', async () => {
    const stage = new Stage();
    stage.profile({ name: 'mail' });
    const own = { ...stage.profile({ name: 'own', file: '', forwards: [aForward(9000)] }) };
    const supervisor = new TunnelSupervisor(stage.deps);
    await supervisor.apply(['mail']);
    await supervisor.apply([own]);
    expect(states(supervisor)).toEqual({ own: 'connecting' });
    expect(stage.store.memory.wanted).toEqual([]); // no restore could find it again
    expect(await supervisor.start('mail')).toEqual({ name: 'mail', already: false, reloaded: false });
    await supervisor.stop('own');
    expect(states(supervisor)).toEqual({ mail: 'connecting' });
  });
});
