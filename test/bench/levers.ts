/**
 * `npm run bench:levers [-- --quick] [--write]`: what each lever of the data path gives, in CPU seconds a GB (of the client) and MB/s, with one lever off
 * at a time. All variants are up at once and take turns; read the ratios to "all on" of the same run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Levers } from '../../src/ssh/data-path.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import type { LeverTunnelOptions } from './lever-tunnel.ts';
import { cpuSeconds, download, residentMb, upload } from './measure.ts';
import { delayLine, startGenerator } from './native.ts';
import { writeSection } from './page.ts';
import { markdown, median } from './report.ts';

interface Variant {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  stop(): void;
}

const quick = process.argv.includes('--quick');
const only = process.argv.find((word) => word.startsWith('--only='))?.slice('--only='.length);
const ROUNDS = quick ? 3 : 5;
const BYTES = (quick ? 300 : 1_000) * 1e6;
const CIPHER = 'aes128-gcm@openssh.com';

const VARIANTS: Readonly<Record<string, Partial<Levers>>> = {
  'all on': {},
  'slab off': { slab: false },
  'windows off': { windows: false },
  'reads off': { reads: false },
  'all off': { slab: false, windows: false, reads: false },
};

const LOADS: Readonly<Record<string, { readonly far: boolean; move(port: number): Promise<number> }>> = {
  'down x1': { far: false, move: (port) => download(port, BYTES) },
  'up x1': { far: false, move: (port) => upload(port, BYTES) },
  'down x16': { far: false, move: (port) => download(port, BYTES, 16) },
  'up x16': { far: false, move: (port) => upload(port, BYTES, 16) },
  'up x64': { far: false, move: (port) => upload(port, BYTES, 64) },
  'down x1, 100 ms': { far: true, move: (port) => download(port, quick ? 50e6 : 300e6) },
};

async function start(name: string, sshd: TestSshd, sshPort: number, targetPort: number): Promise<Variant> {
  const { user, identityFile, knownHostsFile } = sshd;
  const levers = VARIANTS[name] ?? {};
  const options: LeverTunnelOptions = {
    ...{ levers, cipher: CIPHER, sshPort, user, identityFile, knownHostsFile, targetPort },
  };
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/bench/lever-tunnel.ts', JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { name, port: Number(line.toString()), pid: child.pid ?? 0, stop: () => void child.kill('SIGTERM') };
}

async function compare(
  load: (typeof LOADS)[string],
  variants: readonly Variant[],
): Promise<Map<string, { rate: number[]; cpu: number[] }>> {
  const found = new Map(variants.map(({ name }) => [name, { rate: new Array<number>(), cpu: new Array<number>() }]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const variant of round % 2 === 0 ? variants : [...variants].reverse()) {
      const before = cpuSeconds([variant.pid]);
      const rate = await load.move(variant.port);
      const cpu = (cpuSeconds([variant.pid]) - before) / (BYTES / 1e9);
      if (round < 0) continue;
      found.get(variant.name)?.rate.push(rate);
      found.get(variant.name)?.cpu.push(cpu);
    }
  }
  return found;
}

async function main(): Promise<void> {
  const generator = await startGenerator();
  const sshd = await startSshd({ config: ['LogLevel ERROR'] });
  const delay = await delayLine(sshd.port, 50);
  const variants: Variant[] = [];
  const rows: string[][] = [];
  try {
    for (const far of [false, true]) {
      const loads = Object.entries(LOADS).filter(
        ([name, load]) => load.far === far && (only === undefined || name === only),
      );
      if (loads.length === 0) continue;
      for (const name of Object.keys(VARIANTS))
        variants.push(await start(name, sshd, far ? delay.said : sshd.port, generator.said));
      for (const [name, load] of loads) rows.push(...rowsOf(name, await compare(load, variants), variants));
      for (const variant of variants.splice(0)) variant.stop();
    }
  } finally {
    for (const variant of variants) variant.stop();
    await delay.stop();
    await sshd.stop();
    await generator.stop();
  }
  const table = markdown(['load', 'variant', 'MB/s', 'ratio', 'CPU s/GB', 'ratio', 'resident MB'], rows);
  process.stdout.write(`${table}\n`);
  if (process.argv.includes('--write')) await writeSection('levers', table);
}

function rowsOf(
  load: string,
  found: Map<string, { rate: number[]; cpu: number[] }>,
  variants: readonly Variant[],
): string[][] {
  const whole = found.get('all on');
  const [rate, cpu] = [median(whole?.rate ?? []), median(whole?.cpu ?? [])];
  return variants.map(({ name, pid }) => {
    const one = found.get(name);
    const [ownRate, ownCpu] = [median(one?.rate ?? []), median(one?.cpu ?? [])];
    const ratios = [ownRate.toFixed(0), (ownRate / rate).toFixed(2), ownCpu.toFixed(2), (ownCpu / cpu).toFixed(2)];
    return [load, name, ...ratios, residentMb([pid]).toFixed(0)];
  });
}

await main();
