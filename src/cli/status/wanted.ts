import { readFile } from 'node:fs/promises';
import { parseMemory } from '../../files/state.ts';
import { cleanLine } from '../../model/clean.ts';
import type { Context } from '../context.ts';

/** One line on stderr where tunnels should run and no supervisor does, as after `kill -9` or a restart of the machine. */
export async function mentionWanted({ paths, out }: Context): Promise<void> {
  const text = await readFile(paths.wantedFile, 'utf8').catch(() => ''); // nothing was ever wanted, or it cannot be read
  const names = parseMemory(text)?.wanted.map(({ name }) => cleanLine(name)) ?? [];
  if (names.length === 0) return;
  out.warn(`No supervisor runs; these were up: ${names.join(', ')}. \`tunnel daemon restart\` brings them back.`);
}
