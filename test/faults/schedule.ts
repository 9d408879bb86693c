import { readdir } from 'node:fs/promises';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';
import { Chance } from './chance.ts';
import { Traffic, type Visit } from './traffic.ts';

/** Nobody waits longer, from connect to close (reliability: a held client has 15 s, then comes the transfer). */
export const LONGEST_VISIT_MS = 20_000;
/** After the last fault is mended everything works within this. */
export const CALM_MS = 10_000;

/** What one run of faults showed. `broken` is empty where every promise held. */
export interface Findings {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly visits: { readonly whole: number; readonly cut: number; readonly refused: number };
  readonly logins: number;
  readonly calmAfterMs: number;
  readonly fileDescriptors: { readonly before: number; readonly after: number };
  readonly broken: readonly string[];
}

interface Laboratory extends AsyncDisposable {
  readonly cli: TunnelCli;
  readonly sshd: TestSshd;
  readonly path: FaultyPath;
  readonly port: number;
  readonly profile: string;
}

interface Fault {
  readonly name: string;
  /** Whether clients may find nobody listening from now until the mend: the supervisor itself is gone. */
  readonly unbinds?: boolean;
  strike(lab: Laboratory): void | Promise<void>;
  /** Absent where the fault is a moment. */
  mend?(lab: Laboratory): void | Promise<void>;
}

const FAULTS: readonly Fault[] = [
  { name: 'path stalls', strike: ({ path }) => path.stall(), mend: ({ path }) => path.heal() },
  { name: 'path resets', strike: ({ path }) => path.reset() },
  { name: 'path refuses', strike: ({ path }) => path.refuse(), mend: ({ path }) => path.heal() },
  { name: 'path is slow', strike: ({ path }) => path.throttle(200_000), mend: ({ path }) => path.heal() },
  {
    name: 'sshd dies',
    // The path goes with it, as a dead host's port does: a path that took connections for a server that is not there would
    // use up the six tries without a login that a server may see in 30 s.
    strike: async ({ path, sshd }) => {
      await path.refuse();
      await sshd.kill();
    },
    mend: async ({ path, sshd }) => {
      await sshd.start();
      await path.heal();
    },
  },
  { name: 'sshd freezes', strike: ({ sshd }) => sshd.freeze(), mend: ({ sshd }) => sshd.thaw() },
  { name: 'sshd cuts sessions', strike: ({ sshd }) => sshd.killSessions() },
  {
    name: 'profile gains a forward, and loses it',
    strike: async ({ cli, profile }) => {
      await cli.home.profile('t', `${profile}  - 127.0.0.1:auto -> 127.0.0.1:9\n`);
      await cli.ok('reload', 't');
    },
    mend: async ({ cli, profile }) => {
      await cli.home.profile('t', profile);
      await cli.ok('reload', 't');
    },
  },
  {
    name: 'supervisor sleeps',
    strike: async ({ cli }) => void process.kill(await cli.supervisorPid(), 'SIGSTOP'),
    mend: async (lab) => void process.kill(await sleeperPid(lab), 'SIGCONT'),
  },
  {
    name: 'supervisor is killed',
    unbinds: true,
    strike: async ({ cli }) => void process.kill(await cli.supervisorPid(), 'SIGKILL'),
    mend: async ({ cli }) => void (await cli.run('up', 't', '--no-wait')),
  },
];

/** Draws faults from the seed while clients come and go, mends the last one, and checks what was promised. */
export async function runSchedule(
  seed: number,
  faultCount: number,
  onFault: (name: string) => void,
): Promise<Findings> {
  await using lab = await laboratory();
  const chance = new Chance(seed);
  const before = await openFiles(await lab.cli.supervisorPid());
  const traffic = new Traffic(lab.port, seed);
  const unbound: (readonly [number, number])[] = [];
  const names: string[] = [];
  traffic.start(60);
  for (let count = 0; count < faultCount; count += 1) {
    const fault = chance.pick(FAULTS);
    names.push(fault.name);
    onFault(fault.name);
    const struckAtMs = performance.now();
    await fault.strike(lab);
    await passing(chance.between(100, 4_000));
    await fault.mend?.(lab);
    if (fault.unbinds === true) {
      await eventually(() => ask(lab.port, 'bound again').catch(() => undefined), { withinMs: CALM_MS });
      unbound.push([struckAtMs, performance.now()]);
    }
    await passing(chance.between(0, 2_000));
  }
  const calmAfterMs = await calm(lab);
  await traffic.stop();
  const after = await eventually(() => settledFiles(lab, before), { withinMs: CALM_MS }).catch(async () =>
    openFiles(await lab.cli.supervisorPid()),
  );
  const { visits } = traffic;
  const findings = { visits, unbound, calmAfterMs, before, after, logins: lab.sshd.logins, faults: names.length };
  const count = (end: Visit['end']): number => visits.filter((visit) => visit.end === end).length;
  return {
    ...{ seed, faults: names, logins: lab.sshd.logins, calmAfterMs },
    visits: { whole: count('whole'), cut: count('cut'), refused: count('refused') },
    fileDescriptors: { before, after },
    broken: promisesBroken(findings),
  };
}

interface Facts {
  readonly visits: readonly Visit[];
  readonly unbound: readonly (readonly [number, number])[];
  readonly calmAfterMs: number;
  readonly before: number;
  readonly after: number;
  readonly logins: number;
  readonly faults: number;
}

/** Every promise that the facts contradict, in a sentence. */
function promisesBroken({ visits, unbound, calmAfterMs, before, after, logins, faults }: Facts): string[] {
  const broken: string[] = [];
  for (const { number, wrongAt, tookMs, end, startedAtMs } of visits) {
    if (wrongAt !== undefined) broken.push(`client ${number} got a wrong byte at ${wrongAt}`);
    if (tookMs > LONGEST_VISIT_MS) broken.push(`client ${number} waited ${Math.round(tookMs)} ms`);
    const excused = unbound.some(([from, to]) => startedAtMs >= from - 50 && startedAtMs <= to + 50);
    if (end === 'refused' && !excused) broken.push(`client ${number} found nobody listening`);
  }
  if (calmAfterMs > CALM_MS) broken.push(`it took ${Math.round(calmAfterMs)} ms to work after the last mend`);
  if (after > before + 4) broken.push(`${after - before} file descriptors were not given back`);
  if (logins > 2 + 3 * faults) broken.push(`the server saw ${logins} logins for ${faults} faults`);
  return broken;
}

async function laboratory(): Promise<Laboratory> {
  const target = await TcpTarget.start(echo);
  const sshd = await startSshd();
  const path = await faultyPath(sshd.port);
  const cli = await tunnelCli();
  const port = await freePort();
  const profile = [
    `${viaSshd(sshd, path.port)}keepalive: { interval: 500ms, maxMissed: 2 }`,
    'reconnect: { initial: 200ms, max: 2s }',
    'timeouts: { connect: 3s, login: 5s, channel: 5s }',
    `forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n`,
  ].join('\n');
  await cli.home.profile('t', profile);
  await cli.ok('up', 't');
  return {
    ...{ cli, sshd, path, port, profile },
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await path.close();
      await sshd.stop();
      await target.close();
    },
  };
}

/** Milliseconds until a client is served after the last mend. */
async function calm({ port }: Laboratory): Promise<number> {
  const fromMs = performance.now();
  await eventually(async () => (await ask(port, 'calm?').catch(() => '')) === 'calm?', { withinMs: CALM_MS * 3 });
  return performance.now() - fromMs;
}

async function settledFiles({ cli }: Laboratory, before: number): Promise<number | undefined> {
  const now = await openFiles(await cli.supervisorPid());
  return now <= before + 4 ? now : undefined;
}

async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** The stopped supervisor answers no `status`: its lock tells who it is. */
async function sleeperPid({ cli }: Laboratory): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const lock = JSON.parse(await readFile(`${cli.home.stateDir}/supervisor.lock`, 'utf8')) as { pid: number };
  return lock.pid;
}

/** Time that passes on purpose: a fault lasts. */
function passing(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs));
}
