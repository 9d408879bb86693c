/**
 * docs/performance.md and docs/performance.svg: rendered from docs/performance.json, which keeps for each major of Node what its last run
 * with `--write` found. Every bench owns sections of its own, so that one can be measured anew without the others.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { renderAims, type Findings } from './aims.ts';
import { renderChart } from './chart.ts';
import type { Bar, Facts } from './report.ts';

interface Run {
  readonly machine: string;
  readonly sections: Readonly<Record<string, string>>;
  /** What the aims are held to. */
  readonly facts?: Findings;
  readonly bars: readonly Bar[];
}

/** What a bench found for its section. */
export interface Found {
  readonly table: string;
  readonly facts?: Facts;
  /** In place of the chart's. */
  readonly bars?: readonly Bar[];
}

const FOLDER = 'docs';

/** The sections in their order, with what to know of each. */
const SECTIONS: Readonly<Record<string, { readonly title: string; readonly about: string }>> = {
  near: {
    title: 'The same cipher',
    about:
      'aes128-gcm on both sides, everything on one machine: the like-for-like comparison. Connections one after the other: the first 300 of a fresh process, in which most of ' +
      'p99 is Node’s compiler; and warm, which is 2,000 in each round after 3,000 that do not count. Beside a full upload or download: one byte to and fro on an open connection, again and ' +
      'again, while another connection moves bytes as fast as they go.',
  },
  defaults: {
    title: 'Defaults',
    about:
      'Each program as it comes. OpenSSH before 10 prefers chacha20-poly1305, which costs both ends more. Connections one after the other are as many as 3 s allow and 2,000 at the most, after a warm-up of ' +
      'as long: a program that leaves Nagle’s algorithm on needs 44 ms for each.',
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
      'Resident memory of the client, a fresh process for each load; one repetition. `tunnel` is one process for all tunnels, `ssh` one for each. The time to open connections, one after the ' +
      'other, grows with their square: sshd looks at each of them at every event (docs/decisions/0017 has what several connections give).',
  },
  kinds: { title: 'Other kinds of forward', about: 'Each beside the tool that people use for it today.' },
  start: {
    title: 'Start',
    about:
      'Milliseconds from the launch of a command to its end, beside Node with an empty script; then from the launch to the first byte through the tunnel. docs/decisions/0009 says what they are made of.',
  },
  levers: {
    title: 'What each lever gives',
    about:
      'What the program does to move bytes faster (docs/decisions/0006), one thing at a time replaced by what there would be without it (test/bench/without), and measured with the loads that it is for, beside everything on: two processes that have done nothing else, ' +
      'taking turns. The ratio is to everything on, in the same run, told as a difference only where all rounds agree: “worse” says that the lever earns its place there. Not here, since there is no plain form of them to put in their place: no error made ' +
      'for nobody and no address asked for nobody in a new connection, and events that no client of the control socket wants; 0006 has their figures.',
  },
};

/** Puts a section into the page, for the major of Node that runs this. */
export async function writeSection(key: string, { table, facts, bars }: Found): Promise<void> {
  const runs = await readRuns();
  const major = process.versions.node.split('.')[0] ?? '';
  const before = runs[major];
  runs[major] = {
    machine: machine(),
    sections: { ...before?.sections, [key]: table },
    facts: { ...before?.facts, ...(facts === undefined ? {} : { [key]: facts }) },
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
  return `${[...head(machines), ...aims(runs), ...sections].join('\n\n')}\n`;
}

function aims(runs: Readonly<Record<string, Run>>): string[] {
  const table = renderAims(Object.fromEntries(Object.entries(runs).map(([major, { facts = {} }]) => [major, facts])));
  if (table === undefined) return [];
  return [
    '## Aims',
    'Ratios to `ssh` of the same run where no unit stands; the tables below have the figures with their spread.',
    table,
  ];
}

function head(machines: readonly string[]): string[] {
  return [
    '# Performance',
    'Written by `npm run bench -- --write`, `npm run bench:levers -- --write` and their like; not by hand.',
    'Every program is up at once and they take turns, the order reversed every other round, after one round that does not count. A figure is the median of its rounds, with the ' +
      'lowest and the highest. Client, sshd, source and sink share one machine: read the ratios, which are of one run, rather than the MB/s, which are the ' +
      'machine’s. A difference under 10 % is not called one. Source, sink and clients are native and copy nothing in user space (test/bench/native).',
    'Each section has a table for each Node that was measured: the same program, the same server. “Better” and “worse” are from the side of `tunnel` (or of the peer that the column names): ' +
      'a ratio of a rate over 1 is better, one of a time, of CPU or of memory under 1.',
    machines.join('\n'),
    '![How many times better than ssh -L with the same cipher](performance.svg)',
  ];
}
