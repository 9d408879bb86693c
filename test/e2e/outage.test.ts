import { expect, test } from 'vitest';
import { ask, closing, echoes, talking } from '../support/clients.ts';
import { eventually, observes } from '../support/eventually.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

interface Stage extends AsyncDisposable {
  readonly cli: TunnelCli;
  readonly sshd: TestSshd;
  readonly path: FaultyPath;
  readonly target: TcpTarget;
  readonly port: number;
}

/** A tunnel `t` that is up, to an echo service, its SSH connection over a path that can be made faulty. */
async function stage(more: string): Promise<Stage> {
  const target = await TcpTarget.start(echo, '127.0.0.1', await freePort()); // a test has it go and come back
  const sshd = await startSshd();
  const path = await faultyPath(sshd.port);
  const cli = await tunnelCli();
  const forwards = `forwards:\n  - 127.0.0.1:auto -> 127.0.0.1:${target.port}\n`;
  await cli.home.profile('t', `${viaSshd(sshd, path.port)}${more}\n${forwards}`);
  await cli.ok('up', 't');
  return {
    ...{ cli, sshd, path, target },
    port: await cli.port('t'),
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await path.close();
      await sshd.stop();
      await target.close();
    },
  };
}

test(
  'after a long outage the tunnel works within the capped delay and a second of the return',
  { timeout: 40_000 },
  async () => {
    await using on = await stage('reconnect: { initial: 200ms, max: 2s }');
    await on.sshd.kill();
    await on.path.refuse(); // what accepts for a dead server would use up the tries that a server may see (decision 0007)
    // Refused often enough that the delay has reached its cap: 0.2, 0.4, 0.8, 1.6, 2 s.
    await observes(6_000, () => false, 'nothing: this is the outage');

    await on.sshd.start();
    await on.path.admit();
    const backAt = performance.now();
    await on.cli.becomes('t', 'up');

    expect(dialledAfter(on.path, backAt)).toBeLessThan(3_000); // the login that follows takes what the machine takes
  },
);

test('a path that swallows everything is noticed in time, and what was open ends', async () => {
  await using on = await stage('keepalive: { interval: 1s, maxMissed: 2 }\nreconnect: { initial: 200ms, max: 1s }');
  const open = await talking(on.port);
  const closed = closing(open).then(() => performance.now());
  const stalledAt = performance.now();

  on.path.stall();

  // interval x (maxMissed + 1) + 1 s
  expect((await closed) - stalledAt).toBeLessThan(4_000);
  expect((await on.cli.becomes('t', 'retrying')).lastError?.code).toMatch(/KEEPALIVE_TIMEOUT|CONNECT_TIMEOUT/);
  await on.path.heal();
  const healedAt = performance.now();
  await eventually(() => ask(on.port, 'again'), { withinMs: 5_000 });
  expect(performance.now() - healedAt).toBeLessThan(3_000);
});

test('a server that was dialled in the middle of an outage, and stays silent, is dialled anew before its connect limit', async () => {
  await using on = await stage('keepalive: { interval: 1s, maxMissed: 2 }');

  on.path.drop(); // takes connections, as a router does whose server is away, and forgets them
  await on.cli.becomes('t', 'retrying');
  const asked = ask(on.port, 'held');
  await eventually(() => on.path.joinedAtMs.length > 1, { what: 'a dial into the outage' });
  await observes(500, () => on.sshd.logins > 1, 'what the server said on it came through');
  await on.path.heal();
  const healedAt = performance.now();

  expect(await asked).toBe('held');
  expect(performance.now() - healedAt).toBeLessThan(7_000); // the limit of the first dial is 10 s
  expect(on.sshd.logins).toBe(2);
});

test('a cut of some seconds, shorter than the keepalive allows, costs no reconnect', async () => {
  await using on = await stage('keepalive: { interval: 2s, maxMissed: 3 }');
  const open = await talking(on.port);

  on.path.stall();
  await observes(4_000, () => open.destroyed, 'the connection closed');
  await on.path.heal();
  await echoes(open, 'still here\n');

  expect(await on.cli.status('t')).toMatchObject({ state: 'up', reconnects: 0 });
});

test('a slow path that is busy both ways is not declared dead', { timeout: 40_000 }, async () => {
  await using on = await stage('keepalive: { interval: 1s, maxMissed: 3 }');
  const pushing = await Promise.all([talking(on.port), talking(on.port)]);
  on.path.throttle(64_000);

  for (const socket of pushing) {
    socket.resume();
    socket.write(Buffer.alloc(1_000_000));
  }

  await observes(12_000, () => pushing.some((socket) => socket.destroyed), 'a connection cut');
  expect(await on.cli.status('t')).toMatchObject({ state: 'up', reconnects: 0 });
});

test('a link that is cut by resets works again at once, and no client is refused', async () => {
  await using on = await stage('');

  on.path.reset();
  const answer = await ask(on.port, 'right after');

  expect(answer).toBe('right after');
  expect(await on.cli.status('t')).toMatchObject({ state: 'up', reconnects: 1 });
});

test(
  'a link that flaps twenty times serves nearly every window and keeps its logins few',
  { timeout: 90_000 },
  async () => {
    await using on = await stage('reconnect: { initial: 200ms, max: 2s }');
    let soon = 0;

    for (let flap = 0; flap < 20; flap += 1) {
      await on.path.refuse();
      await observes(700, () => false, 'nothing: this is the outage');
      await on.path.heal();
      const healedAt = performance.now();
      expect(await ask(on.port, 'in the window')).toBe('in the window');
      if (dialledAfter(on.path, healedAt) < 1_000) soon += 1;
    }

    expect(soon).toBeGreaterThanOrEqual(18);
    expect(on.sshd.logins).toBeLessThanOrEqual(25);
  },
);

test('a target that is down closes its client promptly, and serves the next one when it is up', async () => {
  await using on = await stage('');
  const port = on.target.port;
  await on.target.close();

  const startedAt = performance.now();
  const answer = await ask(on.port, 'anybody?').catch(() => 'cut');
  const tookMs = performance.now() - startedAt;
  await using back = await TcpTarget.start(echo, '127.0.0.1', port);
  const next = await ask(on.port, 'now');

  expect(['', 'cut']).toContain(answer);
  expect(tookMs).toBeLessThan(5_000); // by the server's word, and not by the 15 s of a channel without one
  expect(next).toBe('now');
  expect(back.accepted).toBe(1);
  expect(await on.cli.status('t')).toMatchObject({ state: 'up', reconnects: 0 });
  await on.cli.logged('t', /TARGET_REFUSED|[Cc]onnection refused/);
});

/** How long after that moment somebody dialled through the path: what we decide, and not how long a login takes here. */
function dialledAfter({ joinedAtMs }: FaultyPath, atMs: number): number {
  return (joinedAtMs.find((joinedMs) => joinedMs > atMs) ?? Infinity) - atMs;
}
