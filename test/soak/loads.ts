/** The loads that a supervisor must bear, and what it is like under each. */
import { connectionsPerSecond, download, upload } from '../bench/measure.ts';
import { runClient, startClient, startGenerator } from '../bench/native.ts';
import { median, short } from '../bench/report.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { pause, Subject } from './subject.ts';

/** A load, what was found in words, and whether that is as promised. */
export interface Finding {
  readonly load: string;
  readonly found: string;
  readonly kept: boolean;
}

/** How much a run does: a full run takes about half an hour beside the soak's own minutes. */
export interface Size {
  readonly idle: number;
  readonly active: number;
  readonly profiles: number;
  readonly short: number;
  readonly soakMs: number;
}

const ROOMY = 'limits: { connections: 20000, perClient: 20000 }\n';
const SERVER = { config: ['LogLevel ERROR', 'MaxStartups 1000'] };
/** Servers that many profiles are spread over: logins at one server are a second apart. */
const SERVERS = 8;
const MINUTE_MS = 60_000;
/** Longer than the supervisor waits before it gives back what a burst has left. */
const REST_MS = 8_000;

/** Idle connections and active ones at once through one tunnel. */
export async function manyConnections({ idle, active }: Size): Promise<Finding> {
  await using rig = await oneTunnel();
  const { subject, port } = rig;
  const held = await startClient('idle', port, idle);
  const filled = subject.residentMb;
  const busy = await startClient('busy', port, active);
  const { p99Ms } = await subject.answersDuring(pause(15_000));
  const [fds, both] = [subject.fileDescriptors, subject.residentMb];
  await busy.stop();
  await held.stop();
  await eventually(() => subject.fileDescriptors < 100, { withinMs: 60_000, what: 'the file descriptors to go' });
  const left = subject.fileDescriptors;
  await pause(REST_MS);
  const found =
    `none refused; all open after ${short(held.said)} s; ${short(filled)} MB with the idle ones, ${short(both)} MB with both, ` +
    `${short(subject.residentMb)} MB at rest afterwards; ${fds} file descriptors, ${left} afterwards; an answer of the supervisor took ${short(p99Ms)} ms at most (p99)`;
  return { load: `${idle} idle connections and ${active} active ones`, found, kept: true };
}

/** One connection after the other, 50 at once. */
export async function shortConnections({ short: count }: Size): Promise<Finding> {
  await using rig = await oneTunnel();
  const { subject, port } = rig;
  await connectionsPerSecond(port, Math.ceil(count / 20), 50); // what only the first of them cost is no growth
  await pause(REST_MS);
  const before = { memory: subject.residentMb, fds: subject.fileDescriptors };
  const { result: rate, p99Ms } = await subject.answersDuring(connectionsPerSecond(port, count, 50));
  await eventually(() => subject.fileDescriptors <= before.fds, {
    withinMs: 30_000,
    what: 'the file descriptors to go',
  });
  await pause(REST_MS);
  const grown = subject.residentMb - before.memory;
  const found =
    `none failed; ${short(rate)} a second, at rest ${short(before.memory)} MB before and ${short(subject.residentMb)} MB after, ` +
    `${subject.fileDescriptors} file descriptors; an answer took ${short(p99Ms)} ms at most (p99)`;
  return { load: `${count} short connections`, found, kept: grown < 32 };
}

/** Many profiles in one supervisor. */
export async function manyProfiles({ profiles }: Size): Promise<Finding> {
  const generator = await startGenerator();
  const servers = await Promise.all(Array.from({ length: SERVERS }, () => startSshd(SERVER)));
  const texts: Record<string, string> = {};
  const ports = new Set<number>(); // a port that was free twice is one
  while (ports.size < profiles) ports.add(await freePort());
  [...ports].forEach((port, number) => {
    const sshd = servers[number % SERVERS];
    if (sshd !== undefined) texts[`profile-${number}`] = profileText(sshd, port, generator.said);
  });
  const startedAtMs = performance.now();
  const subject = await Subject.start(texts);
  try {
    await eventually(async () => (await subject.up()) === profiles, {
      withinMs: 120_000,
      what: 'all tunnels to be up',
    });
    const upMs = performance.now() - startedAtMs;
    for (const port of ports) await runClient('first', port, 1);
    const cpuBefore = subject.cpuSeconds;
    const { p99Ms } = await subject.answersDuring(pause(30_000));
    const idle = ((subject.cpuSeconds - cpuBefore) / 30) * 100;
    const found =
      `all up after ${short(upMs / 1_000)} s and each serves; ${short(subject.residentMb)} MB, ${subject.fileDescriptors} file descriptors, ` +
      `${short(idle)} % of a core while ${1_000 / 50} times a second status is asked; an answer took ${short(p99Ms)} ms at most (p99)`;
    return { load: `${profiles} profiles in one supervisor, ${SERVERS} servers`, found, kept: true };
  } finally {
    await subject.stop();
    await Promise.all(servers.map((one) => one.stop()));
    await generator.stop();
  }
}

/**
 * Everything mixed, with the link cut and a rest once a minute (six times in a short one). What a supervisor keeps is seen at rest: under load its memory is
 * that of the load. No growth over the second half.
 */
export async function soak({ soakMs }: Size): Promise<Finding> {
  await using rig = await oneTunnel();
  const { result, p99Ms } = await rig.subject.answersDuring(roundsAndRests(rig, soakMs));
  const { rounds, loaded, rested } = result;
  const half = rested.slice(rested.length / 2);
  const [before, after] = quarters(half.map(({ memory }) => memory));
  const [beforeLoaded, afterLoaded] = quarters(loaded.slice(loaded.length / 2));
  const found =
    `${rounds} rounds of 2,000 connections and 600 MB, ${rested.length} links cut; median memory at rest ${short(before)} MB in the third quarter, ` +
    `${short(after)} MB in the fourth (under load ${short(beforeLoaded)} and ${short(afterLoaded)} MB); at most ${Math.max(...half.map(({ fds }) => fds))} file descriptors at rest; ` +
    `an answer took ${short(p99Ms)} ms at most (p99)`;
  return { load: `a soak of ${Math.round(soakMs / MINUTE_MS)} minutes`, found, kept: after / before < 1.1 };
}

interface Rounds {
  readonly rounds: number;
  /** Memory in MB after each round. */
  readonly loaded: readonly number[];
  /** Once a minute, or six times in a short soak. */
  readonly rested: readonly { readonly memory: number; readonly fds: number }[];
}

async function roundsAndRests({ subject, port, sshd }: Rig, soakMs: number): Promise<Rounds> {
  const restEveryMs = Math.min(MINUTE_MS, soakMs / 6);
  const startedAtMs = performance.now();
  const loaded: number[] = [];
  const rested: { readonly memory: number; readonly fds: number }[] = [];
  let rounds = 0;
  while (performance.now() - startedAtMs < soakMs) {
    await connectionsPerSecond(port, 2_000, 50);
    await download(port, 300e6, 16);
    await upload(port, 300e6, 16);
    rounds += 1;
    loaded.push(subject.residentMb);
    if ((performance.now() - startedAtMs) / restEveryMs <= rested.length + 1) continue;
    await sshd.killSessions();
    await runClient('first', port, 1); // held until the link is back
    await pause(REST_MS);
    rested.push({ memory: subject.residentMb, fds: subject.fileDescriptors });
    process.stderr.write(`rest ${rested.length}: ${short(rested.at(-1)?.memory ?? NaN)} MB at rest\n`);
  }
  return { rounds, loaded, rested };
}

/** The medians of the first and the second half of these. */
function quarters(values: readonly number[]): [number, number] {
  const middle = values.length / 2;
  return [median(values.slice(0, middle)), median(values.slice(middle))];
}

interface Rig extends AsyncDisposable {
  readonly subject: Subject;
  readonly port: number;
  readonly sshd: TestSshd;
}

async function oneTunnel(): Promise<Rig> {
  const generator = await startGenerator();
  const sshd = await startSshd(SERVER);
  const port = await freePort();
  const subject = await Subject.start({ soak: profileText(sshd, port, generator.said) });
  await subject.cli.becomes('soak', 'up', 20_000);
  return {
    subject,
    port,
    sshd,
    async [Symbol.asyncDispose]() {
      await subject.stop();
      await sshd.stop();
      await generator.stop();
    },
  };
}

function profileText(sshd: TestSshd, port: number, targetPort: number): string {
  return `${viaSshd(sshd)}${ROOMY}forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${targetPort}\n`;
}
