import { readFile, writeFile } from 'node:fs/promises';

/** Puts what a script found between its marks in a page whose rest is written by hand. */
export async function writeBetweenMarks(page: string, script: string, text: string): Promise<void> {
  const [begin, end] = [`<!-- written by \`npm run ${script} -- --write\` -->`, `<!-- end of ${script} -->`];
  const before = await readFile(page, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot find the marks of ${script} in ${page}`);
  await writeFile(page, `${before.slice(0, from)}${begin}\n\n${text}\n\n${before.slice(to)}`);
}
