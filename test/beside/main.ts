/**
 * `npm run beside [-- --write] [--only=TEXT]`: the same faults for `tunnel`, `ssh -N -L` and autossh, side by side in one run. Needs autossh
 * (sudo apt-get install autossh). `--write` puts the table into docs/reliability.md.
 */
import { markdown } from '../bench/report.ts';
import { runOptions } from '../support/run-options.ts';
import { writeBetweenMarks } from '../support/page-marks.ts';
import { CASES, type Case, type Shown } from './cases.ts';
import { Stage } from './stage.ts';
import { TOOLS, type Tool } from './tools.ts';

const { only, write } = runOptions('beside', 'some minutes', {
  only: { kind: 'text', about: 'faults whose name has it' },
  write: { kind: 'switch', about: 'put the table into docs/reliability.md' },
});

async function main(): Promise<void> {
  const kept = new Map(TOOLS.map(({ name }) => [name, 0]));
  const cases = CASES.filter(({ fault }) => only === undefined || fault.includes(only));
  const rows: string[][] = [];
  for (const one of cases) {
    const shown = await Promise.all(TOOLS.map((tool) => show(one, tool)));
    shown.forEach((each, index) => {
      const name = TOOLS[index]?.name ?? '';
      if (each.kept) kept.set(name, (kept.get(name) ?? 0) + 1);
    });
    rows.push([one.fault, one.promise, ...shown.map(cell)]);
    process.stderr.write(`${one.fault}: ${shown.map(cell).join(' | ')}\n`);
  }
  rows.push(['**kept**', '', ...TOOLS.map(({ name }) => `**${kept.get(name) ?? 0} of ${cases.length}**`)]);
  const table = markdown(['fault', 'promise', ...TOOLS.map(({ name }) => name)], rows);
  process.stdout.write(`${table}\n`);
  if (write) await writeBetweenMarks('docs/reliability.md', 'beside', table);
}

async function show(one: Case, tool: Tool): Promise<Shown> {
  const stage = await Stage.open(tool);
  try {
    return await one.run(stage);
  } finally {
    await stage.close();
  }
}

function cell({ text, kept }: Shown): string {
  return `${kept ? 'kept' : '**broken**'}: ${text}`;
}

await main();
