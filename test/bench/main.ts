/**
 * `npm run bench [-- --quick]`: throughput, latency and connection rate of `tunnel` beside `ssh -N -L`, with the same
 * cipher, through the same sshd, alternating in one run. Read the ratios: figures of a shared machine move, ratios of one run less.
 */
import { spawn } from 'node:child_process';
import { startSshd } from '../support/sshd.ts';
import { startSsh, startTunnel, type Contestant } from './contestants.ts';
import { connectionsPerSecond, cpuSeconds, download, firstByteUs, pingPongUs, residentMb, upload } from './measure.ts';
import { median, percentile, renderTable, type Series } from './report.ts';

interface Measure {
  readonly measure: string;
  readonly unit: string;
  readonly more: boolean;
  once(contestant: Contestant): Promise<number>;
}

const quick = process.argv.includes('--quick');
const ROUNDS = quick ? 3 : 7;
const BYTES = (quick ? 200 : 1_000) * 1e6;

const MEASURES: readonly Measure[] = [
  { measure: 'download, 1 stream', unit: 'MB/s', more: true, once: ({ port }) => download(port, BYTES) },
  { measure: 'upload, 1 stream', unit: 'MB/s', more: true, once: ({ port }) => upload(port, BYTES) },
  { measure: 'download, 16 streams', unit: 'MB/s', more: true, once: ({ port }) => download(port, BYTES, 16) },
  { measure: 'upload, 16 streams', unit: 'MB/s', more: true, once: ({ port }) => upload(port, BYTES, 16) },
  {
    measure: 'CPU, 1 download',
    unit: 's/GB',
    more: false,
    once: (one) => cpuPerGb(one, () => download(one.port, BYTES)),
  },
  { measure: 'CPU, 1 upload', unit: 's/GB', more: false, once: (one) => cpuPerGb(one, () => upload(one.port, BYTES)) },
  {
    measure: 'connect to first byte, p50',
    unit: 'µs',
    more: false,
    once: async ({ port }) => median(await firstByteUs(port, 300)),
  },
  {
    measure: 'connect to first byte, p99',
    unit: 'µs',
    more: false,
    once: async ({ port }) => percentile(await firstByteUs(port, 300), 0.99),
  },
  {
    measure: 'ping-pong, p50',
    unit: 'µs',
    more: false,
    once: async ({ port }) => median(await pingPongUs(port, 2_000)),
  },
  {
    measure: 'connections a second, 50 at once',
    unit: '1/s',
    more: true,
    once: ({ port }) => connectionsPerSecond(port, quick ? 1_000 : 5_000, 50),
  },
  { measure: 'resident memory', unit: 'MB', more: false, once: ({ pid }) => Promise.resolve(residentMb([pid])) },
];

async function cpuPerGb({ pid }: Contestant, move: () => Promise<unknown>): Promise<number> {
  const before = cpuSeconds([pid]);
  await move();
  return (cpuSeconds([pid]) - before) / (BYTES / 1e9);
}

/** Every contestant in turn, the order reversed every other round, after one round that does not count. */
async function compare(measure: Measure, contestants: readonly Contestant[]): Promise<Series> {
  const rounds: Record<string, number[]> = Object.fromEntries(contestants.map(({ name }) => [name, []]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const one of round % 2 === 0 ? contestants : [...contestants].reverse()) {
      const value = await measure.once(one);
      if (round >= 0) rounds[one.name]?.push(value);
    }
  }
  return { measure: measure.measure, unit: measure.unit, more: measure.more, rounds };
}

async function main(): Promise<void> {
  const generator = spawn(process.execPath, ['--import', 'tsx', 'test/bench/generator.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const targetPort = await new Promise<number>((resolve) => {
    generator.stdout.once('data', (line: Buffer) => resolve(Number(line.toString())));
  });
  const sshd = await startSshd({ config: ['LogLevel ERROR'] });
  const contestants: Contestant[] = [];
  try {
    contestants.push(await startTunnel(sshd, targetPort), await startSsh(sshd, targetPort));
    const series: Series[] = [];
    for (const measure of MEASURES) {
      series.push(await compare(measure, contestants));
      process.stderr.write(`${measure.measure}: done\n`);
    }
    process.stdout.write(`${renderTable(series, ['tunnel', 'ssh -L'], 'ssh -L')}\n`);
  } finally {
    await Promise.all(contestants.map((one) => one.stop()));
    await sshd.stop();
    generator.kill('SIGTERM');
  }
}

await main();
