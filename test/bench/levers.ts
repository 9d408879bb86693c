/**
 * `npm run bench:levers [-- --quick] [--write] [--only=LOAD,...]`: what each lever of the data path gives, by taking away one at a time, with the loads
 * that it is for. Each is up beside one with everything on, and they take turns; read the ratios to "all on" of the same run.
 */
import { startSshd } from '../support/sshd.ts';
import { benchOptions } from './bench-options.ts';
import { compare } from './compare.ts';
import { withContestants } from './contest.ts';
import { startProgram, type Contestant, type Course, type Start } from './contestants.ts';
import { LEVERS, type Lever } from './lever-list.ts';
import { LOAD_NAMES, leverLoads, type LeverLoad, type LeverSize } from './lever-loads.ts';
import { renderLevers, type LeverSeries } from './lever-table.ts';
import { delayLine, startGenerator } from './native.ts';
import { writeSection } from './page.ts';

const ALL_ON = 'all on';
const CIPHER = 'aes128-gcm@openssh.com';
const { quick, write, only } = benchOptions('bench:levers', 'a quarter of an hour', LOAD_NAMES);
const SIZE: LeverSize = quick
  ? { rounds: 3, bytes: 200e6, farBytes: 30e6, connections: 300, besideSeconds: 0.4, pushMs: 1_000 }
  : { rounds: 5, bytes: 1e9, farBytes: 100e6, connections: 2_000, besideSeconds: 1, pushMs: 3_000 };

async function main(): Promise<void> {
  const startedAt = performance.now();
  const loads = Object.entries(leverLoads(SIZE)).filter(([name]) => only?.includes(name) ?? true);
  const generator = await startGenerator();
  const sshd = await startSshd({ config: ['LogLevel ERROR', 'MaxStartups 1000'] });
  const delay = await delayLine(sshd.port, 50);
  const near: Course = { sshd, sshPort: sshd.port, targetPort: generator.said, cipher: CIPHER };
  const found: LeverSeries[] = [];
  try {
    for (const far of [false, true]) {
      const course = far ? { ...near, sshPort: delay.said } : near;
      found.push(
        ...(await measureAll(
          loads.filter(([, load]) => (load.far ?? false) === far),
          course,
        )),
      );
    }
  } finally {
    await delay.stop();
    await sshd.stop();
    await generator.stop();
  }
  const table = renderLevers(
    LEVERS.map(({ name }) => name),
    found,
    ALL_ON,
  );
  process.stdout.write(`${table}\n`);
  if (write) await writeSection('levers', { table });
  process.stderr.write(`took ${((performance.now() - startedAt) / 1_000).toFixed(0)} s\n`);
}

/**
 * Each lever with each load that it is for, beside everything on. Both are processes that have done nothing else, and nobody else is up: what
 * a load leaves in a heap, and what others have in the processor's cache, hide what a lever gives.
 */
async function measureAll(loads: readonly (readonly [string, LeverLoad])[], course: Course): Promise<LeverSeries[]> {
  const found: LeverSeries[] = [];
  for (const [name, { kind, measure, rounds }] of loads) {
    for (const lever of LEVERS.filter((one) => one.loads.some((load) => load === name))) {
      const starts = [{ name: ALL_ON, standIns: {}, loads: [] }, lever].map(
        (one): Start =>
          (on) =>
            startWithout(one, on),
      );
      await withContestants(starts, course, async (contestants) => {
        found.push({ kind, series: await compare(measure, contestants, course.sshd, rounds) });
      });
    }
    process.stderr.write(`${measure.columns[0]?.measure ?? ''}: done\n`);
  }
  return found;
}

function startWithout({ name, standIns, cipher }: Lever, course: Course): Promise<Contestant> {
  const program = ['--import', 'tsx', 'test/bench/lever-tunnel.ts', JSON.stringify(standIns)];
  return startProgram(name, program, cipher === undefined ? course : { ...course, cipher });
}

await main();
