import { readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';

/** Puts what a script found between its marks in a page whose rest is written by hand, laid out as `npm run lint:format` wants it. */
export async function writeBetweenMarks(page: string, script: string, text: string): Promise<void> {
  const [begin, end] = [`<!-- written by \`npm run ${script} -- --write\` -->`, `<!-- end of ${script} -->`];
  const before = await readFile(page, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot find the marks of ${script} in ${page}`);
  const after = `${before.slice(0, from)}${begin}\n\n${text}\n\n${before.slice(to)}`;
  await writeFile(page, await format(after, { ...(await resolveConfig(page)), filepath: page }));
}
