/**
 * `npm run bench [-- --quick] [--write] [--only=near,defaults,far,memory]`: `tunnel` beside `ssh -N -L` and the peers that are installed,
 * through the same sshd, taking turns in one run. `--quick` takes less than two minutes; `--write` puts the figures into docs/performance.md.
 */
import { startSshd } from '../support/sshd.ts';
import { benchOptions } from './bench-options.ts';
import { coldContest, contest } from './contest.ts';
import {
  isInstalled,
  startAutossh,
  startPlink,
  startSsh,
  startTunnel,
  startTunnelSsh,
  type Course,
  type Start,
} from './contestants.ts';
import { coldLoad, defaultLoads, farLoads, nearLoads, type Size } from './loads.ts';
import { compareMemory, type MemorySize } from './memory.ts';
import { delayLine, startGenerator } from './native.ts';
import { writeSection } from './page.ts';
import { barsOf, factsOf, renderTable, type Series } from './report.ts';

const { quick, write, only } = benchOptions('bench', '25 minutes, --quick under two', [
  'near',
  'defaults',
  'far',
  'memory',
]);

type FullSize = Size & MemorySize & { readonly nearRounds: number };

const FULL: FullSize = {
  ...{
    rounds: 5,
    bytes: 1_000e6,
    connections: 5_000,
    inARow: 2_000,
    warmUp: 3_000,
    inARowSeconds: 3,
    besideSeconds: 2,
  },
  nearRounds: 11, // what swings most from minute to minute, and takes least
  ...{ farBytes: 1_000e6, farUploadBytes: 50e6, farConnections: 10 },
  ...{ idle: 5_000, pushMs: 5_000, settleMs: 20_000 },
};
const QUICK: FullSize = {
  ...{
    rounds: 3,
    bytes: 200e6,
    connections: 1_000,
    inARow: 500,
    warmUp: 1_000,
    inARowSeconds: 0.7,
    besideSeconds: 0.5,
  },
  nearRounds: 3,
  ...{ farBytes: 15e6, farUploadBytes: 10e6, farConnections: 2 },
  ...{ idle: 500, pushMs: 1_500, settleMs: 2_000 },
};
const SIZE = quick ? QUICK : FULL;
/** Too few for the compiler to have done its part, enough for a p99. */
const COLD_CONNECTIONS = 300;
const HALF_TRIP_MS = 50;
/** The cipher of the like-for-like rounds: the one that both ends do fastest. */
const CIPHER = 'aes128-gcm@openssh.com';
const REFERENCE = 'ssh -L';
const PAIR: readonly Start[] = [startTunnel, startSsh];

async function main(): Promise<void> {
  const startedAt = performance.now();
  const generator = await startGenerator();
  const sshd = await startSshd({ config: ['LogLevel ERROR', 'MaxStartups 1000'] });
  const delay = await delayLine(sshd.port, HALF_TRIP_MS);
  const course: Course = { sshd, sshPort: sshd.port, targetPort: generator.said, cipher: CIPHER };
  try {
    if (wanted('near')) await tell('near', await near(course));
    if (wanted('defaults'))
      await tell('defaults', await contest(peers(), asItComes(course), defaultLoads(SIZE), SIZE.rounds));
    if (wanted('far'))
      await tell('far', await contest(PAIR, { ...course, sshPort: delay.said }, farLoads(SIZE), SIZE.rounds));
    if (wanted('memory')) await tell('memory', await compareMemory(PAIR, course, SIZE));
  } finally {
    await delay.stop();
    await sshd.stop();
    await generator.stop();
  }
  process.stderr.write(`took ${((performance.now() - startedAt) / 1_000).toFixed(0)} s\n`);
}

async function near(course: Course): Promise<Series[]> {
  const cold = await coldContest(PAIR, course, coldLoad(COLD_CONNECTIONS), SIZE.rounds);
  return [...(await contest(PAIR, course, nearLoads(SIZE), SIZE.nearRounds)), ...cold];
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
  return [...PAIR, ...installed.map(({ start }) => start), startTunnelSsh];
}

async function tell(group: string, series: readonly Series[]): Promise<void> {
  const names = [...new Set(series.flatMap(({ rounds }) => Object.keys(rounds)))];
  const table = renderTable(series, names, REFERENCE);
  process.stdout.write(`\n${group}\n\n${table}\n`);
  if (!write) return;
  const facts = factsOf(series, 'tunnel', REFERENCE);
  await writeSection(group, {
    table,
    facts,
    ...(group === 'near' ? { bars: barsOf(series, 'tunnel', REFERENCE) } : {}),
  });
}

await main();
