import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask, talking } from '../support/clients.ts';
import { eventually, observes } from '../support/eventually.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

let cli: TunnelCli;
let sshd: TestSshd;
let target: TcpTarget;

beforeEach(async () => {
  [cli, sshd, target] = await Promise.all([tunnelCli(), startSshd(), TcpTarget.start(echo)]);
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await sshd.stop();
  await target.close();
});

/** Brings up the tunnel `t` with one forward on demand. @returns its port */
async function onDemand(rules: string, more = ''): Promise<number> {
  const forward = `  - { local: 127.0.0.1:auto, to: 127.0.0.1:${target.port}, open: on-demand, ${rules} }\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}${more}forwards:\n${forward}`);
  await cli.ok('up', 't');
  return cli.port('t');
}

/** Waits until the server has no session: the SSH connection is really closed. */
async function noSession(): Promise<void> {
  await eventually(async () => (await sshd.pids()).length === 1, { what: 'the end of the SSH session' });
}

test('on demand: nothing is dialled by `up`; the first uses dial once; idle, the SSH connection is closed, and so on', async () => {
  const port = await onDemand('idle: 400ms');
  expect(await cli.status('t')).toMatchObject({
    state: 'idle',
    lastError: null,
    forwards: [{ state: 'idle', idleClosesAt: null, openConnections: 0 }],
  });
  expect((await cli.ok('status', 't')).stdout).toMatch(/t +idle/);
  expect((await cli.ok('wait', 't', '--state', 'up', '--timeout', '2s')).code).toBe(0);
  expect(sshd.logins).toBe(0);

  const answers = await Promise.all(['one', 'two', 'three', 'four'].map((words) => ask(port, words)));

  expect(answers).toEqual(['one', 'two', 'three', 'four']);
  expect(sshd.logins).toBe(1);
  await cli.becomes('t', 'idle');
  await noSession();

  expect(await ask(port, 'again')).toBe('again');
  expect(sshd.logins).toBe(2);
});

test('on demand: the countdown is in status from the end of the last connection on', async () => {
  const port = await onDemand('idle: 5m');
  const open = await talking(port);
  expect((await cli.status('t')).forwards[0]).toMatchObject({ state: 'up', idleClosesAt: null, openConnections: 1 });

  open.end();
  const closesAt = await eventually(async () => {
    const [now] = (await cli.status('t')).forwards;
    return now?.idleClosesAt ?? undefined;
  });

  const leftMs = Date.parse(closesAt) - Date.now();
  expect(leftMs).toBeGreaterThan(290_000);
  expect(leftMs).toBeLessThan(300_000);
  expect((await cli.ok('status', 't')).stdout).toMatch(/\(closes in (5m|4m5\ds)\)/);
});

test('on demand: a use in the very moment of closing is served', async () => {
  const port = await onDemand('idle: 40ms');
  for (const afterMs of [36, 38, 40, 42, 44]) {
    expect(await ask(port, `after ${afterMs}`)).toBe(`after ${afterMs}`);
    await observes(afterMs, () => false, 'nothing: the idle time passes'); // the next use meets the goodbye, or nearly
  }
  expect(await Promise.all([ask(port, 'a'), ask(port, 'b')])).toEqual(['a', 'b']);
}, 40_000);

test('on demand: the lifetime ends even what is in use', async () => {
  const port = await onDemand('lifetime: 5s');
  const open = await talking(port);

  await eventually(() => open.destroyed, { withinMs: 15_000, what: 'the cut' });

  await cli.becomes('t', 'idle');
  await noSession();
  await cli.logged('t', 'its lifetime of 5s is over');
});

test('on demand: with the server gone the first client is held until it is back', async () => {
  const port = await onDemand('idle: 5m', 'reconnect: { initial: 200ms, max: 1s }\n');
  await sshd.kill();

  const answer = ask(port, 'patience');
  await cli.becomes('t', 'retrying');
  await sshd.start();

  expect(await answer).toBe('patience');
  expect((await cli.becomes('t', 'up')).lastError).toBeNull();
});

test('on demand: `whileDown: refuse` serves the first use, and lets nobody wait for a server that is gone', async () => {
  const port = await onDemand('idle: 300ms', 'whileDown: refuse\n');
  expect(await ask(port, 'first')).toBe('first');
  await cli.becomes('t', 'idle');
  await noSession();
  await sshd.kill();

  const startedAt = performance.now();
  const answer = await ask(port, 'anybody?').catch(() => 'cut');

  expect(['', 'cut']).toContain(answer);
  expect(performance.now() - startedAt).toBeLessThan(8_000); // who is held waits 15 s
});

test('on demand: beside a forward that is always open it is idle by itself, and the link stays', async () => {
  const first = `  - { local: 127.0.0.1:auto, to: 127.0.0.1:${target.port} }\n`;
  const second = `  - { local: 127.0.0.1:auto, to: 127.0.0.1:${target.port}, open: on-demand, idle: 200ms, name: rare }\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}forwards:\n${first}${second}`);
  await cli.ok('up', 't');
  expect(await cli.status('t')).toMatchObject({ state: 'up', forwards: [{ state: 'up' }, { state: 'idle' }] });

  expect(await ask(await cli.port('t', 1), 'hello')).toBe('hello');
  await eventually(async () => (await cli.status('t')).forwards[1]?.state === 'idle');

  expect(await cli.status('t')).toMatchObject({ state: 'up', reconnects: 0 });
  expect((await cli.ok('status', 't')).stdout).toMatch(/\(idle\)/);
  expect(sshd.logins).toBe(1);
});
