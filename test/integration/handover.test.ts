import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ControlClient } from '../../src/control/client.ts';
import { refuseWhereWatched } from '../../src/daemon/handover.ts';
import { startDaemon } from '../../src/daemon/main.ts';
import { readLock } from '../../src/daemon/lock-file.ts';
import { replaceSupervisor } from '../../src/daemon/replace.ts';
import type { Daemon, DaemonOptions } from '../../src/daemon/running-daemon.ts';
import { connectIfRunning } from '../../src/daemon/find.ts';
import { connectOrSpawn } from '../../src/daemon/spawn.ts';
import { appPaths, pathFacts, type Paths } from '../../src/files/paths.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { Knocker } from '../support/knocker.ts';
import { standingStill } from '../support/standing-still.ts';
import { Stage } from '../support/supervisor-parts.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const VERSION = '1.2.3';
const TIME = { timeout: 60_000 };
const program = [
  '--import',
  import.meta.resolve('tsx'),
  fileURLToPath(new URL('../support/heir-process.ts', import.meta.url)),
];

let home: TempHome;
let paths: Paths;
let target: TcpTarget;
let knockers: Knocker[];

beforeEach(async () => {
  home = await tempHome();
  paths = appPaths({ ...pathFacts(home.env), env: home.env });
  target = await TcpTarget.start(echo);
  knockers = [];
});
afterEach(async () => {
  await mkdir(tunnelHome(), { recursive: true });
  await goOn();
  await Promise.all(knockers.map((knocker) => knocker.stop()));
  const left = await connectIfRunning(paths, VERSION);
  if (left !== undefined) {
    await left.call('stop', {});
    await left.closed;
  }
  await target.close();
  await home.remove();
});

const tunnelHome = (): string => join(home.dir, 'tunnel');

/** A supervisor in a process of its own that relays to the echo service, and clients that never cease. */
async function serving(): Promise<{ pid: number; port: number; knocker: Knocker }> {
  await home.profile('web', `forwards:\n  - relay: 127.0.0.1:auto\n    to: [127.0.0.1:${target.port}]\n`);
  const { client } = await connectOrSpawn(paths, VERSION, { command: [...program, 'run'], env: home.env });
  await client.call('up', { select: { names: ['web'] }, caller: { cwd: '/' }, attend: false });
  const port = await portOf(client);
  const knocker = new Knocker({ port });
  knockers.push(knocker);
  const pid = client.supervisor?.pid ?? 0;
  client.close();
  return { pid, port, knocker };
}

function portOf(client: ControlClient): Promise<number> {
  return eventually(async () => {
    const [tunnel] = (await client.call('status', {})).tunnels;
    const forward = tunnel?.forwards[0];
    return forward?.state === 'up' ? Number(/:(\d+)$/.exec(forward.bind)?.[1]) : undefined;
  });
}

function replace(...phase: readonly string[]): Promise<number | undefined> {
  return replaceSupervisor(paths, VERSION, { command: [...program, 'inherit', ...phase], env: home.env });
}

/** The pid of the supervisor that takes over, once it stands still. */
async function standing(): Promise<number> {
  const file = join(tunnelHome(), 'phase');
  const pid = await eventually(async () => Number(await readFile(file, 'utf8')), { withinMs: 15_000 });
  await rm(file);
  return pid;
}

/** Lets it go on. */
const goOn = (): Promise<void> => writeFile(join(tunnelHome(), 'go'), '');

async function whoServes(): Promise<number | undefined> {
  const client = await connectIfRunning(paths, VERSION);
  const pid = client?.supervisor?.pid;
  const held = readLock(paths.lockFile);
  client?.close();
  return held?.pid === pid ? pid : undefined;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const PHASES = ['loading', 'holding', 'bound'];

test(
  'a supervisor that is replaced refuses no client, and is gone once it has none; one that a signal stopped too',
  TIME,
  async () => {
    const { pid, port, knocker } = await serving();
    const second = await replace();
    expect(second).not.toBe(pid);
    expect(await whoServes()).toBe(second);
    await eventually(() => !isRunning(pid), { withinMs: 10_000 });
    process.kill(second ?? 0, 'SIGSTOP');
    await standingStill(second ?? 0);
    const third = await replace();
    expect(await whoServes()).toBe(third);
    expect(await ask(port, 'still there')).toBe('still there');
    expect(await knocker.stop()).toMatchObject({ refused: 0, cut: 0 });
  },
);

test('a next supervisor that is killed, whenever that is, leaves the old one serving as before', TIME, async () => {
  const { pid, port, knocker } = await serving();
  for (const phase of PHASES) {
    const outcome = expect(replace(phase)).rejects.toMatchObject({ code: 'HANDOVER_FAILED' });
    process.kill(await standing(), 'SIGKILL');
    await outcome;
    expect([phase, await whoServes()]).toEqual([phase, pid]);
    expect(await ask(port, 'still there')).toBe('still there');
  }
  expect((await knocker.stop()).refused).toBe(0); // what the other had accepted by then is cut
});

test('an old supervisor that is killed, whenever that is, leaves its port to the next one', TIME, async () => {
  const { pid, port, knocker } = await serving();
  let old = pid;
  for (const phase of PHASES) {
    const replaced = replace(phase);
    const next = await standing();
    process.kill(old, 'SIGKILL');
    await eventually(() => !isRunning(old));
    await goOn();
    expect([phase, await replaced, await whoServes()]).toEqual([phase, next, next]);
    expect(await ask(port, 'still there')).toBe('still there');
    old = next;
  }
  expect((await knocker.stop()).refused).toBe(0);
});

test('a next supervisor of another kind, or one that ends at once, leaves the old one serving', TIME, async () => {
  const { pid, knocker } = await serving();
  expect(await replace('skewed')).toBeUndefined(); // the ordinary way is left
  const command = ['-e', 'console.error("no such module"); process.exit(3)'];
  await expect(replaceSupervisor(paths, VERSION, { command, env: home.env })).rejects.toMatchObject({
    code: 'HANDOVER_FAILED',
    message: 'Cannot hand over to the next supervisor: it ended (status 3) / no such module',
  });
  expect(await whoServes()).toBe(pid);
  expect(await knocker.stop()).toMatchObject({ refused: 0, cut: 0 });
});

test('a next supervisor that does not answer is ended', TIME, async () => {
  const stage = new Stage();
  const daemon = await inThisProcess(stage, 'background');
  const outcome = expect(replace('loading')).rejects.toMatchObject({
    code: 'HANDOVER_FAILED',
    message: 'Cannot hand over to the next supervisor: it does not answer',
  });
  const next = await standing();
  await stage.clock.advance(10_000);
  await outcome;
  expect(isRunning(next)).toBe(false);
  expect(await whoServes()).toBe(process.pid);
  await daemon.stop(0);
});

test('only the ordinary way is left where none runs, or where it runs in the foreground', async () => {
  expect(await replace()).toBeUndefined();
  const daemon = await inThisProcess(new Stage(), 'foreground');
  expect(await replace()).toBeUndefined();
  await daemon.stop(0);
});

test.each([
  ['systemd', { SYSTEMD_EXEC_PID: '4711' }, 4711, 'systemd runs it'],
  ['a container', {}, 1, 'a container runs it'],
])('a supervisor that %s watches is not replaced behind its back', (_who, env, pid, why) => {
  expect(() => refuseWhereWatched(env, pid)).toThrow(why);
  expect(() => refuseWhereWatched(env, 4712)).not.toThrow();
});

function inThisProcess(stage: Stage, mode: DaemonOptions['mode']): Promise<Daemon> {
  return startDaemon({
    ...{ paths, version: VERSION, mode, clock: stage.clock, onFault: () => undefined },
    makeSupervisor: () => new TunnelSupervisor(stage.deps),
  });
}
