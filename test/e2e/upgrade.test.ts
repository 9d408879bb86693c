import { expect, test } from 'vitest';
import { closing, echoes, talking } from '../support/clients.ts';
import { isRunning, runRestarts } from '../faults/restarts.ts';
import { eventually } from '../support/eventually.ts';
import { byPassword, loginStage } from '../support/login-stage.ts';
import { Terminal } from '../support/pty.ts';
import { TUNNEL } from '../support/tunnel-cli.ts';
import { tunnelStage } from '../support/tunnel-stage.ts';

test(
  'a supervisor that is replaced five times refuses and cuts nobody, at any kind of listener',
  { timeout: 90_000 },
  async () => {
    const { clients, slowestMs, pids, ...kept } = await runRestarts(5);

    for (const fates of Object.values(clients)) expect(fates).toEqual({ served: fates.served, refused: 0, cut: 0 });
    expect(Object.values(clients).every(({ served }) => served > 0)).toBe(true);
    expect(kept).toEqual({ openLivedOn: true, remoteServes: true, datagramsPass: true });
    expect(pids).toHaveLength(1);
    expect(slowestMs).toBeGreaterThan(0);
  },
);

test('a password that was typed need not be typed again, and stands nowhere', { timeout: 40_000 }, async () => {
  await using on = await loginStage(byPassword('typed-by-hand-77'));
  await on.profile('t');
  const screen = new Terminal(process.execPath, [TUNNEL, 'up', 't'], { env: on.cli.home.env, cwd: on.cli.home.dir });
  await screen.expect('password');
  screen.enter('typed-by-hand-77');
  expect(await screen.exit()).toBe(0);
  const before = await on.cli.supervisorPid();

  await on.cli.ok('daemon', 'restart');

  await on.cli.becomes('t', 'up');
  expect(await on.cli.supervisorPid()).not.toBe(before);
});

test('down and daemon stop end what an earlier supervisor still serves', { timeout: 60_000 }, async () => {
  await using on = await tunnelStage();
  await on.profile('one');
  await on.profile('two');
  await on.proves('one');
  await on.proves('two');
  const one = await talking(await on.cli.port('one'));
  const two = await talking(await on.cli.port('two'));
  const before = await on.cli.supervisorPid();
  await on.cli.ok('daemon', 'restart');
  await on.cli.ok('daemon', 'restart'); // the first one hears of it through the second

  const oneEnds = closing(one);
  await on.cli.ok('down', 'one', '--drain', '1ms');
  await oneEnds;
  await echoes(two, 'still open\n');
  const twoEnds = closing(two);
  await on.cli.ok('daemon', 'stop');
  await twoEnds;

  await eventually(() => !isRunning(before));
});
