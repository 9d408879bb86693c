/**
 * docs/performance.md and docs/performance.svg: rendered from docs/performance.json, which keeps for each major of Node what its last run
 * with `--write` found. Every bench owns sections of its own, so that one can be measured anew without the others.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { renderChart } from './chart.ts';
import type { Bar } from './report.ts';

interface Run {
  readonly machine: string;
  readonly sections: Readonly<Record<string, string>>;
  readonly bars: readonly Bar[];
}

const FOLDER = 'docs';

/** The sections in their order, with what to know of each. */
const SECTIONS: Readonly<Record<string, { readonly title: string; readonly about: string }>> = {
  near: {
    title: 'The same cipher',
    about: 'aes128-gcm on both sides, everything on one machine: the like-for-like comparison.',
  },
  defaults: {
    title: 'Defaults',
    about: 'Each program as it comes. OpenSSH before 10 prefers chacha20-poly1305, which costs both ends more.',
  },
  far: {
    title: 'A long link',
    about:
      '50 ms each way by a delay line in user space, unlimited bandwidth. Downwards the window is the client’s to give. Upwards it is the server’s: 2 MiB in a stock sshd, ' +
      'so nobody can be faster there with one channel.',
  },
  memory: {
    title: 'Memory',
    about:
      'Resident memory of the client; one repetition. `tunnel` is one process for all tunnels, `ssh` one for each.',
  },
  kinds: { title: 'Other kinds of forward', about: 'Each beside the tool that people use for it today.' },
  start: { title: 'Start', about: 'Milliseconds from the launch of a command.' },
  levers: {
    title: 'What each lever gives',
    about: 'One lever of the data path switched off at a time; ratios to everything on, in the same run.',
  },
};

/** Puts a section into the page, for the major of Node that runs this. `bars`, where given, replace the chart's. */
export async function writeSection(key: string, table: string, bars?: readonly Bar[]): Promise<void> {
  const runs = await readRuns();
  const major = process.versions.node.split('.')[0] ?? '';
  const before = runs[major];
  runs[major] = {
    machine: machine(),
    sections: { ...before?.sections, [key]: table },
    bars: bars ?? before?.bars ?? [],
  };
  await writeFile(`${FOLDER}/performance.json`, `${JSON.stringify(runs, undefined, 2)}\n`);
  await writeFile(`${FOLDER}/performance.md`, render(runs));
  const charts = Object.entries(runs).map(([version, { bars }]) => ({ title: `Node ${version}`, bars }));
  await writeFile(`${FOLDER}/performance.svg`, renderChart(charts));
}

async function readRuns(): Promise<Record<string, Run>> {
  try {
    return JSON.parse(await readFile(`${FOLDER}/performance.json`, 'utf8')) as Record<string, Run>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  return `Node ${process.versions.node}, ${cpus().length} cores (${cpus()[0]?.model.trim() ?? ''}), ${memory} GiB, Linux ${/^\d+\.\d+/.exec(release())?.[0] ?? release()}`;
}

function render(runs: Readonly<Record<string, Run>>): string {
  const machines = Object.values(runs).map(({ machine }) => `- ${machine}`);
  const sections = Object.entries(SECTIONS).flatMap(([key, { title, about }]) => {
    const tables = Object.entries(runs).flatMap(([major, run]) => {
      const table = run.sections[key];
      return table === undefined ? [] : [`### Node ${major}`, table];
    });
    return tables.length === 0 ? [] : [`## ${title}`, about, ...tables];
  });
  return `${[...head(machines), ...sections].join('\n\n')}\n`;
}

function head(machines: readonly string[]): string[] {
  return [
    '# Performance',
    'Written by `npm run bench -- --write`, `npm run bench:levers -- --write` and their like; not by hand.',
    'Every program is up at once and they take turns, the order reversed every other round, after one round that does not count. A figure is the median of its rounds, with the ' +
      'lowest and the highest. Client, sshd, source and sink share one machine: read the ratios, which are of one run, rather than the MB/s, which are the ' +
      'machine’s. A difference under 10 % is not called one. Source, sink and clients are native and copy nothing in user space (test/bench/native).',
    machines.join('\n'),
    '![How many times better than ssh -L with the same cipher](performance.svg)',
  ];
}
