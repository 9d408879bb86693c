import { readFileSync } from 'node:fs';
import { parseMemory } from '../../files/parse-memory.ts';
import { cleanLine } from '../../model/clean.ts';
import type { Context } from '../context.ts';

/** One line on stderr where tunnels should run and no supervisor does, as after `kill -9` or a restart of the machine. */
export function mentionWanted({ paths, out }: Context): void {
  const names = parseMemory(readText(paths.wantedFile))?.wanted.map(({ name }) => cleanLine(name)) ?? [];
  if (names.length === 0) return;
  out.warn(`No supervisor runs; these were up: ${names.join(', ')}. \`tunnel daemon restart\` brings them back.`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // nothing was ever wanted, or it cannot be read
  }
}
