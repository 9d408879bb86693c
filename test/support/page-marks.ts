import { readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';

/** Puts what a script found between its marks in a page whose rest is written by hand, laid out as `npm run lint:format` wants it. */
export async function writeBetweenMarks(page: string, script: string, text: string): Promise<void> {
  const [before, , after] = await parted(page, script);
  await writeFile(
    page,
    await format(`${before}\n\n${text}\n\n${after}`, { ...(await resolveConfig(page)), filepath: page }),
  );
}

/** What stands between them now. */
export async function textBetweenMarks(page: string, script: string): Promise<string> {
  return (await parted(page, script))[1];
}

/** The page up to and with the first mark, what is between, and the rest. */
async function parted(page: string, script: string): Promise<[string, string, string]> {
  const [begin, end] = [`<!-- written by \`npm run ${script} -- --write\` -->`, `<!-- end of ${script} -->`];
  const text = await readFile(page, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot find the marks of ${script} in ${page}`);
  return [text.slice(0, from + begin.length), text.slice(from + begin.length, to), text.slice(to)];
}
