import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { connectControl } from '../../src/control/client.ts';
import { startDaemon } from '../../src/daemon/main.ts';
import type { Daemon, DaemonOptions } from '../../src/daemon/running-daemon.ts';
import { readLock } from '../../src/daemon/lock-file.ts';
import { takeLock } from '../../src/daemon/lock.ts';
import { ownIdentity } from '../../src/daemon/process-identity.ts';
import { connectIfRunning } from '../../src/daemon/find.ts';
import { connectOrSpawn } from '../../src/daemon/spawn.ts';
import { replaceSupervisor } from '../../src/daemon/replace.ts';
import { stopSupervisor } from '../../src/daemon/stop.ts';
import { appPaths, pathFacts, type Paths } from '../../src/files/paths.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { SupervisorMemory } from '../../src/model/memory.ts';
import type { OpenQuestion } from '../../src/model/request.ts';
import type { StatusEvent } from '../../src/model/status.ts';
import { TunnelSupervisor } from '../../src/supervisor/supervisor.ts';
import { eventually } from '../support/eventually.ts';
import { CAN_HANG, hang } from '../support/hanging.ts';
import { standingStill } from '../support/standing-still.ts';
import { Stage } from '../support/supervisor-parts.ts';
import { tempHome, type TempHome } from '../support/temp-home.ts';

const VERSION = '1.2.3';
const caller = { cwd: '/' };
/** Processes that read TypeScript take seconds to start on a busy machine, some at the same time above all. */
const STARTS_MS = 20_000;
const TIME = { timeout: 40_000 };
const tsx = import.meta.resolve('tsx');
const command = ['--import', tsx, fileURLToPath(new URL('../support/daemon-process.ts', import.meta.url))];

let home: TempHome;
let paths: Paths;
let closers: (() => Promise<unknown> | void)[];

beforeEach(async () => {
  home = await tempHome();
  paths = appPaths({ ...pathFacts(home.env), env: home.env });
  closers = [];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await home.remove();
});

/** A supervisor in this process, whose time stands still unless a test moves it. */
async function start(
  options: Partial<DaemonOptions> = {},
  stage = new Stage(),
): Promise<{ daemon: Daemon; stage: Stage; faults: TunnelError[] }> {
  const faults: TunnelError[] = [];
  const daemon = await startDaemon({
    paths,
    version: VERSION,
    mode: 'background',
    clock: stage.clock,
    makeSupervisor: () => new TunnelSupervisor(stage.deps),
    onFault: (error) => faults.push(error),
    ...options,
  });
  closers.push(() => daemon.stop(0));
  return { daemon, stage, faults };
}

async function client(): Promise<NonNullable<Awaited<ReturnType<typeof connectIfRunning>>>> {
  const line = await connectIfRunning(paths, VERSION);
  if (line === undefined) throw new Error('No supervisor runs');
  closers.push(() => line.close());
  return line;
}

interface Process {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly exited: Promise<number | null>;
}

function launch(env: NodeJS.ProcessEnv = home.env): Process {
  const child = spawn(process.execPath, command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('close', (status) => resolve(status)));
  closers.push(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, said: () => text, exited };
}

/** Starts a supervisor in the background as a command does, and ends it with the test. */
async function spawned(env: NodeJS.ProcessEnv = home.env): ReturnType<typeof connectOrSpawn> {
  const result = await connectOrSpawn(paths, VERSION, { command, env });
  const pid = result.client.supervisor?.pid;
  closers.push(async () => {
    result.client.close();
    if (pid !== undefined && result.spawned) await endProcess(pid);
  });
  return result;
}

async function endProcess(pid: number): Promise<void> {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // it ended in the test
  }
  await eventually(() => !isRunning(pid));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * As on a machine that has no time for this process: by the clock, so long passes between the first looks at it, and from then on
 * what really does. @returns when it does
 */
async function standStill({ looks, forMs }: { readonly looks: number; readonly forMs: number }): Promise<void> {
  const uptime = process.uptime.bind(process); // the clock of whoever looks for a supervisor
  let looked = 0;
  const clock = vi.spyOn(process, 'uptime').mockImplementation(() => {
    return uptime() + (Math.min(looked++, looks) * forMs) / 1_000;
  });
  onTestFinished(() => clock.mockRestore());
  while (looked < looks) await new Promise((resolve) => setImmediate(resolve));
}

const isReady = (said: string): boolean => /^ready$/m.test(said);

const aQuestion = { kind: 'password', subject: 'a@b:22', prompt: 'Password:', detail: '', echo: false } as const;

describe('a supervisor', () => {
  test('is found by its lock, and what it makes is private', async () => {
    const { daemon } = await start();
    const line = await client();
    expect(line.supervisor).toMatchObject({ pid: process.pid, version: VERSION });
    expect(readLock(paths.lockFile)).toMatchObject({ pid: process.pid, socket: daemon.socket, version: VERSION });
    const modes = await Promise.all(
      [paths.stateDir, paths.lockFile, paths.runDir, paths.socket].map(async (path) => (await stat(path)).mode & 0o777),
    );
    expect(modes).toEqual([0o700, 0o600, 0o700, 0o600]);
  });

  test('has written the last to its home before anybody can take that for free', async () => {
    const seen: unknown[] = [];
    const finish = (): Promise<void> => {
      seen.push(readLock(paths.lockFile), line.supervisor?.pid);
      return Promise.resolve();
    };
    const { daemon } = await start({ finish });
    const line = await client();
    void line.closed.then(() => seen.push('hung up'));
    await daemon.stop(0);
    await line.closed;
    expect(seen).toEqual([expect.objectContaining({ pid: process.pid }), process.pid, 'hung up']);
  });

  test('that cannot start writes the last before it gives the home back', async () => {
    const seen: unknown[] = [];
    const finish = (): Promise<void> => {
      seen.push(readLock(paths.lockFile));
      return Promise.resolve();
    };
    const makeSupervisor = (): never => {
      throw new Error('no parts');
    };
    await expect(start({ finish, makeSupervisor })).rejects.toThrow('no parts');
    expect([seen, readLock(paths.lockFile)]).toEqual([[expect.objectContaining({ pid: process.pid })], undefined]);
  });

  test('serves up, subscribe, status and down', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    await start({}, stage);
    const line = await client();
    const events: string[] = [];
    line.on('event', (event) => events.push(event.event));
    await expect(line.call('subscribe', {})).resolves.toMatchObject({ tunnels: [] });
    const up = await line.call('up', { select: { names: ['pop-mail'] }, caller, attend: false });
    expect(up).toEqual({ tunnels: [{ name: 'pop-mail', already: false, reloaded: false }] });
    stage.carrier('pop-mail').set({ phase: 'up' });
    const status = await line.call('status', {});
    expect(status.tunnels.map(({ name, state }) => [name, state])).toEqual([['pop-mail', 'up']]);
    const down = line.call('down', { select: { all: true }, drainMs: 0, caller });
    await expect(down).resolves.toEqual({ tunnels: ['pop-mail'] });
    await eventually(() => events.at(-1) === 'removed');
  });

  test('begins what it is asked for while it still reads its files, and answers when it has read them', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    let read: () => void = () => undefined;
    await start({ load: () => new Promise((resolve) => (read = resolve)) }, stage);
    const line = await client();
    const answers: string[] = [];
    const up = line.call('up', { select: { names: ['pop-mail'] }, caller, attend: false });
    const status = line.call('status', {});
    void up.then(() => answers.push('up'));
    void status.then(() => answers.push('status'));
    await eventually(() => stage.carriers.length > 0);
    expect(answers).toEqual([]);
    read();
    await Promise.all([up, status]);
  });

  test('spares a client the finished connections that it does not want', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    await start({}, stage);
    const [all, few] = [await client(), await client()];
    const [events, fewer] = [all, few].map((line) => {
      const told: string[] = [];
      line.on('event', (event) => told.push(event.event));
      return told;
    });
    await all.call('subscribe', {});
    await few.call('subscribe', { connections: false });
    await all.call('up', { select: { names: ['pop-mail'] }, caller, attend: false });
    const ends = {
      client: '127.0.0.1:5',
      target: 'pop:110',
      durationMs: 1,
      receivedBytes: 2,
      sentBytes: 3,
      end: 'done',
    } as const;
    stage.forward('pop1110').context.onConnection({ forward: 'pop1110', ...ends });
    await all.call('down', { select: { all: true }, drainMs: 0, caller });
    await eventually(() => events?.at(-1) === 'removed' && fewer?.at(-1) === 'removed');
    expect(events).toContain('connection');
    expect(fewer).toEqual(events?.filter((event) => event !== 'connection'));
  });

  test('tells a client of an unknown profile by its code', async () => {
    await start();
    const line = await client();
    const up = line.call('up', { select: { names: ['nix'] }, caller, attend: false });
    await expect(up).rejects.toMatchObject({ code: 'PROFILE_NOT_FOUND', exit: 3 });
  });

  test('relays a question to who attends, and the answer back', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    await start({}, stage);
    const line = await client();
    const asked: OpenQuestion[] = [];
    line.on('question', (question) => asked.push(question));
    await line.call('up', { select: { names: ['pop-mail'] }, caller, attend: true });
    const answer = stage.carrier('pop-mail').needs.ask(aQuestion, new AbortController().signal);
    const question = await eventually(() => asked[0]);
    await expect(line.call('answer', { id: question.id, answer: 'hunter2' })).resolves.toEqual({ accepted: true });
    expect((await answer).reveal()).toBe('hunter2');
    await expect(line.call('answer', { id: question.id, answer: 'late' })).resolves.toEqual({ accepted: false });
  });

  test('gives up a question when the only person who attends hangs up', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    await start({}, stage);
    const line = await client();
    await line.call('up', { select: { names: ['pop-mail'] }, caller, attend: true });
    const answer = stage.carrier('pop-mail').needs.ask(aQuestion, new AbortController().signal);
    line.close();
    await expect(answer).rejects.toMatchObject({ code: 'NEEDS_PERSON' });
  });

  test('takes a question off the other terminals once one has answered', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    await start({}, stage);
    const [one, other] = [await client(), await client()];
    const [asked, withdrawn]: [string[], string[]] = [[], []];
    one.on('question', ({ id }) => asked.push(id));
    other.on('withdrawn', ({ id }) => withdrawn.push(id));
    await one.call('up', { select: { names: ['pop-mail'] }, caller, attend: true });
    await other.call('attend', { names: null, caller });
    const answer = stage.carrier('pop-mail').needs.ask(aQuestion, new AbortController().signal);
    const id = await eventually(() => asked[0]);
    await one.call('answer', { id, answer: 'x' });
    await answer;
    await eventually(() => withdrawn.includes(id));
  });

  // It went to supervisor.out alone, which nobody reads, while the hint says "report it with `tunnel logs`".
  test('keeps a fault that nothing caught in its log, with the place', async () => {
    const { daemon, faults } = await start();
    const told: StatusEvent[] = [];
    daemon.supervisor.subscribe((event) => told.push(event));

    const fault = new TunnelError('INTERNAL', 'x is not a function', { cause: new TypeError('x is not a function') });
    daemon.report(fault);

    const message: unknown = expect.stringMatching(
      /^A fault of tunnel was survived: x is not a function at .*daemon\.test/,
    );
    expect(told).toMatchObject([{ event: 'note', level: 'error', tunnel: null, message }]);
    expect(faults).toEqual([fault]);
  });

  test('answers stop, and leaves neither lock nor socket', async () => {
    const { daemon } = await start();
    const line = await client();
    await expect(line.call('stop', {})).resolves.toEqual({});
    await daemon.ended;
    await line.closed;
    expect(await readdir(paths.stateDir)).toEqual([]);
    expect(await readdir(paths.runDir)).toEqual([]);
    await expect(connectIfRunning(paths, VERSION)).resolves.toBeUndefined();
  });

  test('answers no question about tunnels before those that were wanted are back', async () => {
    const stage = new Stage({ wanted: [{ name: 'pop-mail', profile: 'pop-mail', cwd: '/' }], ports: {} });
    stage.profile({ name: 'pop-mail' });
    let openDisk = (): void => undefined;
    const disk = new Promise<void>((resolve) => (openDisk = resolve));
    const { store } = stage.deps;
    const slow = { load: () => disk.then(() => store.load()), save: (memory: SupervisorMemory) => store.save(memory) };
    await start({ makeSupervisor: () => new TunnelSupervisor({ ...stage.deps, store: slow }) }, stage);
    const line = await client();
    const answers = [line.call('status', {}), line.call('subscribe', {})];
    await line.call('decline', { id: 'none' }); // which asks about no tunnel, and came after the others
    openDisk();
    const names = (await Promise.all(answers)).map(({ tunnels }) => tunnels.map(({ name }) => name));
    expect(names).toEqual([['pop-mail'], ['pop-mail']]);
  });

  test('in the foreground restores nothing', async () => {
    const stage = new Stage({ wanted: [{ name: 'pop-mail', profile: 'pop-mail', cwd: '/' }], ports: {} });
    stage.profile({ name: 'pop-mail' });
    await start({ mode: 'foreground' }, stage);
    const { tunnels } = await (await client()).call('status', {});
    expect(tunnels).toEqual([]);
  });

  test('is the only one of its home', async () => {
    await start();
    const second = start({ mode: 'foreground' });
    await expect(second).rejects.toMatchObject({
      code: 'SUPERVISOR_RUNNING',
      message: expect.stringContaining(`pid ${process.pid}`) as string,
    });
    await expect((await client()).call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('gives the home back when its parts cannot be made', async () => {
    const makeSupervisor = (): never => {
      throw new Error('no parts');
    };
    await expect(start({ makeSupervisor })).rejects.toThrow('no parts');
    await expect(start()).resolves.toBeDefined();
  });

  test('leaves after ten minutes without a wanted tunnel, not sooner', async () => {
    const stage = new Stage();
    stage.profile({ name: 'pop-mail' });
    const { daemon } = await start({}, stage);
    let ended = false;
    void daemon.ended.then(() => (ended = true));
    await daemon.supervisor.start('pop-mail');
    await stage.clock.advance(3_600_000);
    const line = await client();
    await line.call('down', { select: { all: true }, drainMs: 0, caller });
    line.close();
    await line.closed;
    // A look reads files: the one that the hour above began must be over, or this time passes without any.
    await eventually(() => (stage.clock.nextInMs ?? Infinity) <= 5_000, { what: 'the next look' });
    await stage.clock.advance(599_000);
    expect(ended).toBe(false);
    await stage.clock.advance(10_000); // the hang-up itself is noticed by the next look, within 5 s
    await daemon.ended;
  });

  test('stays while somebody watches it', async () => {
    const { stage } = await start();
    const line = await client();
    await line.call('subscribe', {});
    await stage.clock.advance(3_600_000);
    await expect(line.call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('listens again after a logout took its runtime folder away', async () => {
    const { stage } = await start();
    const before = await client();
    await rm(paths.runDir, { recursive: true });
    const found = client();
    await stage.clock.advance(5_000);
    await expect((await found).call('status', {})).resolves.toMatchObject({ tunnels: [] });
    await expect(before.call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('writes its lock again after somebody removed the state', async () => {
    const { stage } = await start();
    await rm(paths.stateDir, { recursive: true });
    await stage.clock.advance(5_000);
    await eventually(() => readLock(paths.lockFile));
    await expect((await client()).call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('ends when its whole home is gone, and does not make it anew', async () => {
    const { daemon, stage } = await start();
    await rm(dirname(paths.stateDir), { recursive: true });
    await stage.clock.advance(5_000);
    await daemon.ended;
    await expect(stat(dirname(paths.stateDir))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('ends when its lock names another, so that two never stay', async () => {
    const { daemon, stage } = await start();
    const lock = readLock(paths.lockFile);
    await writeFile(paths.lockFile, JSON.stringify({ ...lock, token: 'another' }));
    await stage.clock.advance(5_000);
    await daemon.ended;
    expect(readLock(paths.lockFile)).toMatchObject({ token: 'another' });
  });

  test('replaces the socket that a dead one left', TIME, async () => {
    const crashed = launch();
    await eventually(() => isReady(crashed.said()), { withinMs: STARTS_MS });
    crashed.child.kill('SIGKILL');
    await crashed.exited;
    expect((await stat(paths.socket)).isSocket()).toBe(true);
    await start();
    await expect((await client()).call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('goes beside a socket that serves another home', async () => {
    await mkdir(paths.runDir, { recursive: true, mode: 0o700 });
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => other.listen(paths.socket, resolve));
    closers.push(() => void other.close());
    const { daemon } = await start();
    expect(daemon.socket).not.toBe(paths.socket);
    await expect((await client()).call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('listens in its state folder where the runtime folder cannot be used, and is found there', async () => {
    const blocked = join(home.dir, 'file');
    await writeFile(blocked, '');
    paths = { ...paths, runDir: join(blocked, 'tunnel'), socket: join(blocked, 'tunnel', 'supervisor.sock') };
    const { daemon } = await start();
    expect(daemon.socket).toBe(join(paths.stateDir, 'run', 'supervisor.sock'));
    await expect((await client()).call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  test('removes nothing but a socket to make room for its own', async () => {
    await mkdir(paths.runDir, { recursive: true, mode: 0o700 });
    await writeFile(paths.socket, 'precious');
    await expect(start()).rejects.toMatchObject({ code: 'FILE' });
    expect(await readFile(paths.socket, 'utf8')).toBe('precious');
  });
});

describe('the lock', () => {
  const about = { socket: '/nowhere', version: VERSION, startedAt: '2026-01-01T00:00:00.000Z' };
  const silent = (): Promise<boolean> => Promise.resolve(false);

  test.each([
    ['a process that has ended', { pid: 2 ** 22 + 1 }],
    ['another boot of the machine', { bootId: 'another' }],
    ['an earlier process with the same pid', { processStart: '1' }],
  ])('of %s is replaced', async (_what, difference) => {
    await mkdir(paths.stateDir, { recursive: true });
    const stale = { ...(await ownIdentity()), ...about, token: 'old', ...difference };
    await writeFile(paths.lockFile, JSON.stringify(stale));
    const lock = await takeLock(paths.lockFile, about, silent);
    expect(readLock(paths.lockFile)).toEqual(lock.facts);
    expect(await readdir(paths.stateDir)).toEqual(['supervisor.lock']);
  });

  test('that was damaged by a crash is replaced', async () => {
    await mkdir(paths.stateDir, { recursive: true });
    await writeFile(paths.lockFile, '{"pid": 1');
    const lock = await takeLock(paths.lockFile, about, silent);
    expect(readLock(paths.lockFile)).toEqual(lock.facts);
  });

  test('is taken over although somebody died while doing the same', async () => {
    await mkdir(paths.stateDir, { recursive: true });
    const dead = JSON.stringify({ ...(await ownIdentity()), ...about, token: 'old', pid: 2 ** 22 + 1 });
    await writeFile(paths.lockFile, dead);
    await writeFile(`${paths.lockFile}.takeover`, dead);
    const lock = await takeLock(paths.lockFile, about, silent);
    expect(readLock(paths.lockFile)).toEqual(lock.facts);
    expect(await readdir(paths.stateDir)).toEqual(['supervisor.lock']);
  });

  test('of which nothing tells whether its process is the same counts while its socket answers', async () => {
    await mkdir(paths.stateDir, { recursive: true });
    const unsure = { ...(await ownIdentity()), ...about, token: 'old', processStart: null };
    await writeFile(paths.lockFile, JSON.stringify(unsure));
    const taken = takeLock(paths.lockFile, about, () => Promise.resolve(true));
    await expect(taken).rejects.toMatchObject({ code: 'SUPERVISOR_RUNNING' });
    await expect(takeLock(paths.lockFile, about, silent)).resolves.toBeDefined();
  });

  test('that another replaced while we judged it is not taken from them', async () => {
    await mkdir(paths.stateDir, { recursive: true });
    const stale = { ...(await ownIdentity()), ...about, token: 'old', processStart: null };
    await writeFile(paths.lockFile, JSON.stringify(stale));
    const theirs = { ...(await ownIdentity()), ...about, token: 'theirs' };
    const taken = takeLock(paths.lockFile, about, async () => {
      await writeFile(paths.lockFile, JSON.stringify(theirs));
      return false;
    });
    await expect(taken).rejects.toMatchObject({ code: 'SUPERVISOR_RUNNING' });
    expect(readLock(paths.lockFile)).toEqual(theirs);
  });

  test('that cannot be written is a plain error', async () => {
    await expect(takeLock(join(home.dir, 'missing', 'lock'), about, silent)).rejects.toMatchObject({ code: 'FILE' });
  });

  test('goes to one of many that want it at once, in place of a stale one too', async () => {
    await mkdir(paths.stateDir, { recursive: true });
    const stale = { ...(await ownIdentity()), ...about, token: 'old', pid: 2 ** 22 + 1 };
    await writeFile(paths.lockFile, JSON.stringify(stale));
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(paths.lockFile, about, silent)));
    const won = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const codes = all.flatMap((one) => (one.status === 'rejected' ? [(one.reason as TunnelError).code] : []));
    expect(won.map((lock) => lock.facts)).toEqual([readLock(paths.lockFile)]);
    expect(new Set(codes)).toEqual(new Set(['SUPERVISOR_RUNNING']));
    expect(await readdir(paths.stateDir)).toEqual(['supervisor.lock']);
  });
});

describe('a command', TIME, () => {
  test('starts no supervisor to learn that none runs', async () => {
    await expect(connectIfRunning(paths, VERSION)).resolves.toBeUndefined();
  });

  test('starts a supervisor in the background, and the next one finds it', async () => {
    const first = await spawned();
    const second = await spawned();
    expect([first.spawned, second.spawned]).toEqual([true, false]);
    expect(second.client.supervisor).toEqual(first.client.supervisor);
    expect(first.client.supervisor?.pid).not.toBe(process.pid);
  });

  test('and others at the same moment end up with one supervisor', async () => {
    const all = await Promise.all([spawned(), spawned(), spawned()]);
    expect(new Set(all.map(({ client: line }) => line.supervisor?.pid)).size).toBe(1);
    expect(all.filter((one) => one.spawned).length).toBe(1);
  });

  test('that lost the race leaves no second supervisor to take over when the first one ends', async () => {
    const log = join(home.dir, 'pids');
    const late = `require('fs').appendFileSync(${JSON.stringify(log)}, process.pid + '\\n'); setTimeout(() => {}, 60000);`;
    const other = launch();
    const found = connectOrSpawn(paths, VERSION, { command: ['-e', late], env: home.env });
    const { client: line, spawned: ours } = await found;
    line.close();
    expect([ours, line.supervisor?.pid]).toEqual([false, other.child.pid]);
    const pid = Number(await readFile(log, 'utf8').catch(() => '0'));
    if (pid !== 0) await eventually(() => !isRunning(pid));
  });

  test('whose TUNNEL_HOME is relative starts the supervisor of that home', async () => {
    const env = { ...home.env, TUNNEL_HOME: relative(process.cwd(), dirname(paths.stateDir)) };
    const { client: line } = await spawned(env);
    await expect(line.call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });

  // `status` waited for it twice, ten seconds in all.
  test('says after one try that the supervisor is frozen', async () => {
    const { client: line } = await spawned();
    const pid = line.supervisor?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await standingStill(pid);
    const startedAtMs = performance.now();

    const failure: unknown = await connectIfRunning(paths, VERSION, { withinMs: 3_000 }).catch(
      (error: unknown) => error,
    );

    expect(failure).toMatchObject({ code: 'SUPERVISOR_UNREACHABLE', hint: 'Run `tunnel daemon restart`.' });
    expect(performance.now() - startedAtMs).toBeLessThan(5_900); // a second try ends at 6 s
  });

  // On a busy machine it was called frozen when its socket had not been there yet, and we had stood still meanwhile.
  test('waits for a supervisor whose socket is not there yet, however slow the looking is', async () => {
    await start();
    await rename(paths.socket, `${paths.socket}.aside`);

    const stoodStill = standStill({ looks: 5, forMs: 1_100 });
    const found = connectIfRunning(paths, VERSION);
    await Promise.race([stoodStill, found]);
    await rename(`${paths.socket}.aside`, paths.socket);

    const line = await found;
    expect(line?.supervisor).toMatchObject({ pid: process.pid });
    line?.close();
  });

  test('finds the supervisor without the environment that it was started in', async () => {
    const runtime = join(home.dir, 'runtime');
    await mkdir(runtime, { mode: 0o700 });
    const { TUNNEL_HOME: _own, ...plain } = home.env;
    const state = { XDG_STATE_HOME: join(home.dir, 'st'), XDG_CONFIG_HOME: join(home.dir, 'cf') };
    const there = { ...plain, ...state, XDG_RUNTIME_DIR: runtime };
    paths = appPaths({ ...pathFacts(there), env: there });
    const first = await spawned(there);
    const cron = { ...plain, ...state };
    paths = appPaths({ ...pathFacts(cron), env: cron });
    const second = await spawned(cron);
    expect(second.client.supervisor).toEqual(first.client.supervisor);
  });

  test('shows what the supervisor said when it does not start', async () => {
    const failing = ['-e', 'console.error("Cannot find the moon"); process.exit(3)'];
    const started = connectOrSpawn(paths, VERSION, { command: failing, env: home.env });
    await expect(started).rejects.toMatchObject({
      code: 'SUPERVISOR_UNREACHABLE',
      message: expect.stringContaining('Cannot find the moon') as string,
    });
  });

  test('does not show what an earlier supervisor said', async () => {
    const early = ['-e', 'console.error("old news"); process.exit(3)'];
    await expect(connectOrSpawn(paths, VERSION, { command: early, env: home.env })).rejects.toThrow('old news');
    const late = connectOrSpawn(paths, VERSION, { command: ['-e', 'process.exit(4)'], env: home.env });
    await expect(late).rejects.toThrow(/^(?!.*old news).*status 4/);
  });

  test('gives up a supervisor that starts and never answers', async () => {
    const mute = ['-e', 'setTimeout(() => {}, 3000)'];
    const started = connectOrSpawn(paths, VERSION, { command: mute, env: home.env, withinMs: 200 });
    await expect(started).rejects.toMatchObject({ message: expect.stringContaining('does not answer') as string });
  });

  test('refuses a state folder that is a file', async () => {
    await mkdir(dirname(paths.stateDir), { recursive: true });
    await writeFile(paths.stateDir, '');
    await expect(connectOrSpawn(paths, VERSION, { command, env: home.env })).rejects.toMatchObject({ code: 'FILE' });
  });
});

describe('processes', TIME, () => {
  test('that start in the same instant leave exactly one supervisor', async () => {
    const all = [launch(), launch(), launch()];
    await eventually(() => all.every(({ said }) => isReady(said()) || said().includes('SUPERVISOR_RUNNING')), {
      withinMs: STARTS_MS,
    });
    const ready = all.filter(({ said }) => isReady(said()));
    expect(ready.length).toBe(1);
    const losers = all.filter((one) => !ready.includes(one));
    expect(await Promise.all(losers.map(({ exited }) => exited))).toEqual([1, 1]);
    expect(readLock(paths.lockFile)?.pid).toBe(ready[0]?.child.pid);
  });

  test('killed with -9 are replaced, and what was up comes back', async () => {
    const first = await spawned();
    await first.client.call('up', { select: { names: ['pop-mail', 'web'] }, caller, attend: false });
    await first.client.call('down', { select: { names: ['web'] }, drainMs: 0, caller });
    const pid = first.client.supervisor?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await first.client.closed;
    const second = await spawned();
    expect(second.spawned).toBe(true);
    const { tunnels } = await second.client.call('status', {});
    expect(tunnels.map(({ name }) => name)).toEqual(['pop-mail']);
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('told to end by %s leave nothing behind', async (signal) => {
    const one = launch();
    await eventually(() => isReady(one.said()), { withinMs: STARTS_MS });
    one.child.kill(signal);
    expect(await one.exited).toBe(0);
    await expect(stat(paths.socket)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(readLock(paths.lockFile)).toBeUndefined();
  });

  test('outlive a fault that nothing caught, and say it', async () => {
    const one = launch({ ...home.env, TEST_FAULT: '1' });
    await eventually(() => /INTERNAL a fault.*/.test(one.said()) && /INTERNAL a promise/.test(one.said()), {
      withinMs: STARTS_MS,
    });
    await expect((await client()).call('status', {})).resolves.toMatchObject({ tunnels: [] });
  });
});

describe('daemon stop', TIME, () => {
  test('ends a supervisor of another version, and is done when its lock is gone', async () => {
    const { client: line } = await spawned({ ...home.env, TEST_VERSION: '0.0.1' });
    await expect(stopSupervisor(paths, VERSION)).resolves.toBe(line.supervisor?.pid);
    await expect(connectIfRunning(paths, VERSION)).resolves.toBeUndefined();
    expect(readLock(paths.lockFile)).toBeUndefined();
  });

  test('of a home without one does nothing', async () => {
    await expect(stopSupervisor(paths, VERSION)).resolves.toBeUndefined();
  });

  test('ends a supervisor that is frozen', async () => {
    const { client: line } = await spawned();
    const pid = line.supervisor?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await standingStill(pid);
    await expect(stopSupervisor(paths, VERSION, { answersWithinMs: 100, endsWithinMs: 100 })).resolves.toBe(pid);
    await eventually(() => !isRunning(pid));
  });

  test('ends a supervisor whose event loop hangs, and that can hand over nothing', async () => {
    const { client: line } = await spawned({ ...home.env, ...CAN_HANG });
    const pid = line.supervisor?.pid ?? 0;
    await hang(pid);
    await expect(replaceSupervisor(paths, VERSION, { answersWithinMs: 300 })).resolves.toBeUndefined();
    await expect(stopSupervisor(paths, VERSION, { answersWithinMs: 100, heedsWithinMs: 100 })).resolves.toBe(pid);
    await eventually(() => !isRunning(pid));
  });

  test('never signals a process that only has the pid of an old lock', async () => {
    const bystander = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)']);
    closers.push(() => void bystander.kill('SIGKILL'));
    const identity = { ...(await ownIdentity()), pid: bystander.pid, processStart: null };
    await mkdir(paths.stateDir, { recursive: true });
    const lock = { ...identity, token: 't', startedAt: '', socket: paths.socket, version: VERSION };
    await writeFile(paths.lockFile, JSON.stringify(lock));
    await expect(stopSupervisor(paths, VERSION, { answersWithinMs: 50 })).resolves.toBeUndefined();
    expect(isRunning(bystander.pid ?? 0)).toBe(true);
  });
});

describe('a supervisor that is not ours', () => {
  test('is not spoken to: its folder is open to others', async () => {
    const { daemon } = await start();
    await chmod(dirname(daemon.socket), 0o755);
    await expect(connectControl(daemon.socket, VERSION)).rejects.toMatchObject({ code: 'SUPERVISOR_UNREACHABLE' });
  });
});
