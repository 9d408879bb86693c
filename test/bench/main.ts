/**
 * `npm run bench [-- --quick] [--write] [--only=near,defaults,far,memory]`: `tunnel` beside `ssh -N -L` and the peers that are installed,
 * through the same sshd, taking turns in one run. `--write` puts the figures into docs/performance.md.
 */
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { compare, type Measure } from './compare.ts';
import {
  isInstalled,
  startAutossh,
  startPlink,
  startSsh,
  startTunnel,
  startTunnelSsh,
  type Contestant,
  type Course,
  type Start,
} from './contestants.ts';
import { defaultLoads, farLoads, nearLoads, type Size } from './loads.ts';
import { compareMemory } from './memory.ts';
import { delayLine, startGenerator } from './native.ts';
import { writeSection } from './page.ts';
import { barsOf, renderTable, type Series } from './report.ts';

const quick = process.argv.includes('--quick');
const write = process.argv.includes('--write');
const only = process.argv
  .find((word) => word.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',');

const SIZE: Size = quick
  ? { rounds: 3, bytes: 200e6, connections: 1_000 }
  : { rounds: 5, bytes: 1_000e6, connections: 5_000 };
const IDLE = quick ? 500 : 5_000;
const HALF_TRIP_MS = 50;
/** The cipher of the like-for-like rounds: the one that both ends do fastest. */
const CIPHER = 'aes128-gcm@openssh.com';
const REFERENCE = 'ssh -L';

async function main(): Promise<void> {
  const generator = await startGenerator();
  const sshd = await startSshd({ config: ['LogLevel ERROR', 'MaxStartups 1000'] });
  const delay = await delayLine(sshd.port, HALF_TRIP_MS);
  const course: Course = { sshd, sshPort: sshd.port, targetPort: generator.said, cipher: CIPHER };
  const far = { ...course, sshPort: delay.said };
  try {
    if (wanted('near')) await tell('near', await race([startTunnel, startSsh], course, nearLoads(SIZE)));
    if (wanted('defaults')) await tell('defaults', await race(peers(), asItComes(course), defaultLoads(SIZE)));
    if (wanted('far')) await tell('far', await race([startTunnel, startSsh], far, farLoads(SIZE)));
    if (wanted('memory')) await tell('memory', await compareMemory([startTunnel, startSsh], course, IDLE));
  } finally {
    await delay.stop();
    await sshd.stop();
    await generator.stop();
  }
}

function wanted(group: string): boolean {
  return only === undefined || only.includes(group);
}

function asItComes(course: Course): Course {
  return { ...course, cipher: undefined };
}

function peers(): readonly Start[] {
  const installed = [
    { start: startAutossh, needs: ['autossh'] },
    { start: startPlink, needs: ['plink', 'puttygen'] },
  ].filter(({ needs }) => {
    const missing = needs.filter((program) => !isInstalled(program));
    if (missing.length > 0) process.stderr.write(`left out, not installed: ${missing.join(', ')}\n`);
    return missing.length === 0;
  });
  return [startTunnel, startSsh, ...installed.map(({ start }) => start), startTunnelSsh];
}

/** All contestants up at once, every measure in turn. */
async function race(starts: readonly Start[], course: Course, measures: readonly Measure[]): Promise<Series[]> {
  const contestants: Contestant[] = [];
  try {
    for (const start of starts) contestants.push(await start(course));
    const series: Series[] = [];
    for (const measure of measures) {
      series.push(...(await compare(measure, contestants, server(course.sshd), SIZE.rounds)));
      process.stderr.write(`${measure.columns[0]?.measure ?? ''}: done\n`);
    }
    return series;
  } finally {
    await Promise.all(contestants.map((one) => one.stop()));
  }
}

function server(sshd: TestSshd): { pids(): Promise<readonly number[]> } {
  return { pids: () => sshd.pids() };
}

async function tell(group: string, series: readonly Series[]): Promise<void> {
  const names = [...new Set(series.flatMap(({ rounds }) => Object.keys(rounds)))];
  const table = renderTable(series, names, REFERENCE);
  process.stdout.write(`\n${group}\n\n${table}\n`);
  if (write) await writeSection(group, table, group === 'near' ? barsOf(series, 'tunnel', REFERENCE) : undefined);
}

await main();
