/**
 * `npm run soak [-- --quick] [--write] [--only=idle,short,profiles,soak]`: a supervisor under loads that a person never makes, with its memory, file
 * descriptors and answers in figures. `--write` puts them into docs/reliability.md. Ends with 1 where a promise broke.
 */
import { markdown } from '../bench/report.ts';
import { runOptions } from '../support/run-options.ts';
import { textBetweenMarks, writeBetweenMarks } from '../support/page-marks.ts';
import { manyConnections, manyProfiles, shortConnections, soak, type Finding, type Size } from './loads.ts';

const LOADS: Readonly<Record<string, (size: Size) => Promise<Finding>>> = {
  idle: manyConnections,
  short: shortConnections,
  profiles: manyProfiles,
  soak,
};

const { quick, write, only } = runOptions('soak', 'half an hour', {
  quick: { kind: 'switch', about: 'less of each load' },
  write: { kind: 'switch', about: 'put the findings into docs/reliability.md' },
  only: { kind: 'names', about: 'of', of: Object.keys(LOADS) },
});
const SIZE: Size = quick
  ? { idle: 1_000, active: 100, profiles: 40, short: 20_000, soakMs: 60_000 }
  : { idle: 10_000, active: 1_000, profiles: 200, short: 1_000_000, soakMs: 20 * 60_000 };

const PAGE = 'docs/reliability.md';
const HEADS = ['load', 'found'];
const rows: string[][] = [];
for (const [name, load] of Object.entries(LOADS)) {
  if (only !== undefined && !only.includes(name)) continue;
  const { load: title, found, kept } = await load(SIZE).catch((thrown: unknown) => brokenOff(name, thrown));
  process.stderr.write(`${title}: ${kept ? 'kept' : 'BROKEN'}: ${found}\n`);
  rows.push([title, `${kept ? 'kept' : '**broken**'}: ${found}`]);
  if (!kept) process.exitCode = 1;
}
process.stdout.write(`${markdown(HEADS, rows)}\n`);
if (write) await writeBetweenMarks(PAGE, 'soak', markdown(HEADS, [...(await others()), ...rows]));

/** What could not be carried through is a finding too, and the other loads are still tried. */
function brokenOff(load: string, thrown: unknown): Finding {
  return {
    load,
    found: `it could not be carried through: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    kept: false,
  };
}

/** What the page says of loads of this size that were not tried now. */
async function others(): Promise<string[][]> {
  const known = new Set(rows.map(([title]) => title));
  const lines = (await textBetweenMarks(PAGE, 'soak')).split('\n').filter((line) => line.startsWith('| '));
  const cells = lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
  return cells.filter(([title = '']) => only !== undefined && !known.has(title));
}
