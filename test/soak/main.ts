/**
 * `npm run soak [-- --quick] [--write] [--only=idle,short,profiles,soak]`: a supervisor under loads that a person never makes, with its memory, file
 * descriptors and answers in figures. `--write` puts them into docs/reliability.md. Ends with 1 where a promise broke.
 */
import { markdown } from '../bench/report.ts';
import { writeBetweenMarks } from '../support/page-marks.ts';
import { manyConnections, manyProfiles, shortConnections, soak, type Finding, type Size } from './loads.ts';

const quick = process.argv.includes('--quick');
const only = process.argv
  .find((word) => word.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',');

const SIZE: Size = quick
  ? { idle: 1_000, active: 100, profiles: 40, short: 20_000, soakMs: 60_000 }
  : { idle: 10_000, active: 1_000, profiles: 200, short: 1_000_000, soakMs: 20 * 60_000 };

const LOADS: Readonly<Record<string, (size: Size) => Promise<Finding>>> = {
  idle: manyConnections,
  short: shortConnections,
  profiles: manyProfiles,
  soak,
};

const rows: string[][] = [];
for (const [name, load] of Object.entries(LOADS)) {
  if (only !== undefined && !only.includes(name)) continue;
  const { load: title, found, kept } = await load(SIZE);
  process.stderr.write(`${title}: ${kept ? 'kept' : 'BROKEN'}: ${found}\n`);
  rows.push([title, `${kept ? 'kept' : '**broken**'}: ${found}`]);
  if (!kept) process.exitCode = 1;
}
const table = markdown(['load', 'found'], rows);
process.stdout.write(`${table}\n`);
if (process.argv.includes('--write')) await writeBetweenMarks('docs/reliability.md', 'soak', table);
