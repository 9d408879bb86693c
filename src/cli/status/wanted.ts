import { readFileSync } from 'node:fs';
import { parseMemory } from '../../files/parse-memory.ts';
import { cleanLine } from '../../model/clean.ts';
import type { Context } from '../context.ts';

/** One line on stderr where tunnels should run and no supervisor does, as after `kill -9` or a restart of the machine. */
export function mentionWanted(context: Context): void {
  const text = wantedText(context);
  if (text !== undefined) context.out.warn(text);
}

/** What should run while no supervisor does, and how to get it back; undefined where nothing should. */
export function wantedText({ paths }: Pick<Context, 'paths'>): string | undefined {
  const names = parseMemory(readText(paths.wantedFile))?.wanted.map(({ name }) => cleanLine(name)) ?? [];
  if (names.length === 0) return undefined;
  return `No supervisor runs; these were up: ${names.join(', ')}. \`tunnel daemon restart\` brings them back.`;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // nothing was ever wanted, or it cannot be read
  }
}
