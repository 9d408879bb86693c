import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { appendKnownHost } from '../../src/files/known-hosts-append.ts';
import { readKnownHosts } from '../../src/files/known-hosts.ts';
import { LoginBudget } from '../../src/link/budget.ts';
import type { ListenWatch } from '../../src/link/carrier.ts';
import { systemClock } from '../../src/link/clock.ts';
import { LinkCarrier } from '../../src/link/link-carrier.ts';
import type { Channel, ChannelSink } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { HopPlan, Plan } from '../../src/model/plan.ts';
import { createDial } from '../../src/ssh/dial.ts';
import { eventually, observes } from '../support/eventually.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { freePort, makeKey, startSshd, type TestSshd } from '../support/sshd.ts';
import { aHop, aTunnelPlan } from '../support/supervisor-parts.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';

const CLIENT = { address: '127.0.0.1', port: 50_000 };
let sshd: TestSshd;
let target: TcpTarget;
const carriers: LinkCarrier[] = [];

beforeAll(async () => {
  sshd = await startSshd();
  target = await TcpTarget.start(echo);
});

afterEach(async () => {
  await Promise.all(carriers.splice(0).map((carrier) => carrier.close(0)));
});

afterAll(async () => {
  await target.close();
  await sshd.stop();
});

/** A carrier to the test's own sshd, straight or over a faulty path. */
function aCarrier(facts: Partial<Plan> = {}, hop: Partial<HopPlan> = {}, path?: FaultyPath): LinkCarrier {
  const server = {
    label: sshd.address,
    host: '127.0.0.1',
    port: path?.port ?? sshd.port,
    user: sshd.user,
    hostKeyName: '127.0.0.1',
    identities: [{ file: sshd.identityFile, explicit: true }],
    identitiesOnly: true,
    knownHosts: [sshd.knownHostsFile],
  };
  const nobody = new TunnelError('NEEDS_PERSON', 'Cannot ask: nobody is there');
  const carrier = new LinkCarrier(aTunnelPlan({ name: 'pop', hops: [aHop({ ...server, ...hop })], ...facts }), {
    dial: createDial({
      readSecret: () => Promise.resolve(undefined),
      hostKeys: { read: readKnownHosts, append: appendKnownHost },
    }),
    clock: systemClock,
    random: Math.random,
    budget: new LoginBudget(systemClock),
    ask: () => Promise.reject(nobody),
    agentSocket: () => undefined,
    onNote: () => undefined,
  });
  carriers.push(carrier);
  return carrier;
}

/** Reads a channel for a test: what came, and how it ended. */
class Reader implements ChannelSink {
  text = '';
  ended: TunnelError | 'clean' | null = null;
  data(chunk: Buffer): void {
    this.text += chunk.toString();
  }
  end(): void {
    return undefined;
  }
  drain(): void {
    return undefined;
  }
  closed(error?: TunnelError): void {
    this.ended = error ?? 'clean';
  }
}

async function open(
  carrier: LinkCarrier,
  to: Endpoint = target.endpoint,
  withinMs = 8_000,
): Promise<[Channel, Reader]> {
  const channel = await carrier.open(to, CLIENT, AbortSignal.timeout(withinMs));
  const reader = new Reader();
  channel.attach(reader);
  return [channel, reader];
}

async function echoes([channel, reader]: [Channel, Reader], words: string): Promise<void> {
  channel.write(Buffer.from(words));
  await eventually(() => reader.text.endsWith(words), { what: `${words} to come back` });
}

async function sessions(): Promise<number> {
  return (await sshd.pids()).length - 1;
}

const phase = (carrier: LinkCarrier, wanted: string, withinMs = 5_000): Promise<true> =>
  eventually(() => carrier.status.phase === wanted || undefined, { withinMs, what: `the phase ${wanted}` });

describe('with a real server', () => {
  test('bytes go there and back, the status tells what was negotiated, and the last release logs out', async () => {
    const carrier = aCarrier();
    const release = carrier.need();
    const pair = await open(carrier);
    await echoes(pair, 'hello');
    await eventually(() => carrier.status.latencyMs !== null || undefined, { what: 'the first round trip' });
    expect(carrier.status).toMatchObject({ phase: 'up', reconnects: 0, lastError: null, nextRetryAtMs: null });
    expect(carrier.status.facts?.serverVersion).toContain('OpenSSH');
    pair[0].abort();
    release();
    await phase(carrier, 'idle');
    await eventually(async () => (await sessions()) === 0, { what: 'the session to end at the server' });
  });

  test('a refused target ends that open alone', async () => {
    const carrier = aCarrier();
    carrier.need();
    const nowhere: Endpoint = { kind: 'tcp', host: '127.0.0.1', port: await freePort() };
    const pair = await open(carrier);
    await expect(open(carrier, nowhere)).rejects.toMatchObject({ code: 'TARGET_REFUSED' });
    await echoes(pair, 'still here');
    expect(carrier.status).toMatchObject({ phase: 'up', reconnects: 0 });
  });

  test('a wrong key is one login and then final, whoever opens meanwhile', async () => {
    const file = join(sshd.dir, 'wrong_key');
    await makeKey(file, 'ed25519');
    const before = sshd.connections;
    const carrier = aCarrier({}, { identities: [{ file, explicit: true }] });
    await expect(open(carrier)).rejects.toMatchObject({ code: 'LOGIN_REFUSED' });
    await expect(open(carrier)).rejects.toMatchObject({ code: 'LOGIN_REFUSED' });
    expect([carrier.status.phase, sshd.connections - before]).toEqual(['failed', 1]);
  });

  test('a client that comes while the server is away is served as soon as it is back', async () => {
    const carrier = aCarrier();
    carrier.need();
    const [, reader] = await open(carrier);
    await sshd.kill();
    await eventually(() => reader.ended, { what: 'the open channel to be cut' });
    expect(reader.ended).toMatchObject({ code: 'CONNECTION_LOST' });
    const held = open(carrier, target.endpoint, 25_000);
    await observes(1_200, () => carrier.up, 'a link to a dead server');
    await eventually(() => carrier.status.lastError?.code === 'CONNECT_REFUSED', { what: 'the first try' });
    expect(carrier.status.phase).toBe('retrying');
    await sshd.start();
    const backAtMs = performance.now();
    await echoes(await held, 'back');
    const dialledAtMs = sshd.timesOf(/^Connection from /).at(-1) ?? Infinity;
    // The pauses between tries grow to 30 s: the longer the server takes to start, the longer the one in which it is back.
    expect(dialledAtMs - backAtMs).toBeLessThan(5_000); // the login that follows takes what the machine takes
    expect(carrier.status).toMatchObject({ phase: 'up', reconnects: 1, lastError: null });
  }, 30_000);

  test('renew leaves open connections on the old link and ends that with the last of them', async () => {
    await eventually(async () => (await sessions()) === 0, { what: 'the sessions of other tests to end' });
    const carrier = aCarrier();
    carrier.need();
    const old = await open(carrier);
    await echoes(old, 'before');
    const [logins, before] = [sshd.logins, await sessions()];
    carrier.renew();
    await eventually(() => carrier.status.reconnects === 1 || undefined, { what: 'the new link' });
    await echoes(await open(carrier), 'on the new one');
    await echoes(old, 'on the old one');
    expect(sshd.logins - logins).toBe(1);
    old[0].abort();
    await eventually(async () => (await sessions()) === before, { what: 'the old session to end' });
    expect([carrier.status.phase, old[1].ended]).toEqual(['up', 'clean']);
  });

  test('a listener on the server leads here, and is there again on the same port after an outage', async () => {
    const carrier = aCarrier();
    carrier.need();
    const bounds: Endpoint[] = [];
    const watch: ListenWatch = { listening: (bound) => void bounds.push(bound), lost: () => undefined };
    const listener = carrier.listen(
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      (incoming) => greet(incoming.accept()),
      watch,
    );
    const [bound] = await eventually(() => (bounds.length === 1 ? bounds : undefined), { what: 'the listener' });
    expect(await greetingAt(bound)).toBe('hello from here');
    await sshd.killSessions();
    await eventually(() => bounds.length === 2 || undefined, { what: 'the listener on the next link' });
    expect(bounds[1]).toEqual(bound);
    expect(await greetingAt(bound)).toBe('hello from here');
    await listener.close();
    await expect(greetingAt(bound)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a listener that the server refuses is told, and leaves the link up', async () => {
    const carrier = aCarrier();
    carrier.need();
    const lost: string[] = [];
    const watch: ListenWatch = { listening: () => undefined, lost: ({ code }) => void lost.push(code) };
    carrier.listen(target.endpoint, (incoming) => incoming.refuse(), watch);
    await eventually(() => lost.length === 1 || undefined, { what: 'the refusal' });
    expect([lost, carrier.status.phase]).toEqual([['FORWARD_REFUSED'], 'up']);
  });
});

describe('over a path with faults', () => {
  test('a black hole is seen within interval x (maxMissed + 1), and the link is back soon after it heals', async () => {
    await using path = await faultyPath(sshd.port);
    // 3 s in all: a server that a busy machine does not let run for a moment is no black hole.
    const carrier = aCarrier({ keepalive: { intervalMs: 300, maxMissed: 9 } }, {}, path);
    carrier.need();
    await phase(carrier, 'up');
    await observes(1_500, () => !carrier.up, 'a healthy link given up');
    const stalledAtMs = performance.now();
    path.stall();
    await phase(carrier, 'retrying', 10_000);
    expect(performance.now() - stalledAtMs).toBeLessThan(3_000 + 2_500);
    expect(carrier.status.lastError?.code).toBe('KEEPALIVE_TIMEOUT');
    await path.heal();
    const held = open(carrier);
    await echoes(await held, 'healed');
  }, 30_000);

  test('after a wake a dead link is seen within 5 s, long before its keepalive would tell', async () => {
    await using path = await faultyPath(sshd.port);
    const carrier = aCarrier({}, {}, path);
    carrier.need();
    await phase(carrier, 'up');
    path.stall();
    const wokenAtMs = performance.now();
    carrier.wake();
    await eventually(() => !carrier.up, { withinMs: 15_000, what: 'the loss' });
    expect(performance.now() - wokenAtMs).toBeLessThan(8_000); // to the millisecond: wake.test.ts. The keepalive takes 60 s.
  }, 25_000);

  test('a reset is followed by a new link at once', async () => {
    await using path = await faultyPath(sshd.port);
    const carrier = aCarrier({}, {}, path);
    carrier.need();
    await phase(carrier, 'up');
    await observes(1_000, () => !carrier.up, 'a loss'); // logins keep a second between them
    const resetAtMs = performance.now();
    path.reset();
    await eventually(() => carrier.status.reconnects === 1 || undefined, { what: 'the next link' });
    expect((path.joinedAtMs.at(-1) ?? Infinity) - resetAtMs).toBeLessThan(4_000); // not the pause of 30 s of a longer outage
  });

  test('a slow path that carries an upload is not declared dead', async () => {
    await using path = await faultyPath(sshd.port);
    const carrier = aCarrier({ keepalive: { intervalMs: 1_000, maxMissed: 3 } }, {}, path);
    carrier.need();
    await phase(carrier, 'up');
    const [channel] = await open(carrier);
    path.throttle(64 * 1024);
    channel.write(Buffer.alloc(512 * 1024));
    await observes(6_000, () => !carrier.up, 'a healthy link given up');
    expect(carrier.status.reconnects).toBe(0);
  }, 15_000);
});

function greet(channel: Channel): void {
  channel.attach(new Reader());
  channel.write(Buffer.from('hello from here'));
  channel.end();
}

async function greetingAt(at: Endpoint | undefined): Promise<string> {
  if (at?.kind !== 'tcp') throw new TypeError('Not a port');
  const socket = connect(at.port, at.host);
  await once(socket, 'connect');
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return chunk.toString();
}
