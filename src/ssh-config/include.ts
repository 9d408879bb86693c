import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { cleanLine } from '../model/clean.ts';
import { splitWords } from './settings.ts';
import { expandHome } from './tokens.ts';

/** As deep as ssh itself follows Include (READCONF_MAX_DEPTH in OpenSSH's readconf.c). */
const DEEPEST = 16;
const LARGEST_FILE = 1024 * 1024;

/** The lines of a configuration with every Include replaced, and what had to be left out, in words. */
export interface Included {
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
}

export interface IncludeFacts {
  readonly home: string;
  /** What a relative name in an Include is relative to: ~/.ssh for the person's files, /etc/ssh for the system's. */
  readonly base: string;
}

/**
 * Reads a file and everything that it includes, in the order in which ssh would.
 * @returns undefined where the file itself is not there; rejects with the system's error where it cannot be read
 */
export async function readWithIncludes(file: string, facts: IncludeFacts): Promise<Included | undefined> {
  const text = await readIfThere(file);
  return text === undefined ? undefined : expand(text, [file], facts);
}

async function expand(text: string, way: readonly string[], facts: IncludeFacts): Promise<Included> {
  const lines: string[] = [];
  const warnings: string[] = [];
  let section = '';
  for (const line of text.split(/\r?\n/)) {
    const [word = '', rest = ''] = keywordOf(line);
    if (word === 'host' || word === 'match') section = line;
    if (word !== 'include') {
      lines.push(withKnownCase(line));
      continue;
    }
    for (const pattern of splitWords(rest)) {
      const found = await includedBy(pattern, way, facts);
      warnings.push(...found.warnings);
      lines.push(...(section === '' ? [...found.lines, 'Host *'] : unconditional(found.lines, pattern, warnings)));
    }
  }
  return { lines, warnings };
}

/** An Include within a Host or Match block counts only where the block does: its own blocks cannot be nested in ours. */
function unconditional(lines: readonly string[], pattern: string, warnings: string[]): readonly string[] {
  const first = lines.findIndex((line) => ['host', 'match'].includes(keywordOf(line)[0] ?? ''));
  if (first < 0) return lines;
  warnings.push(
    `ssh_config: the Host and Match blocks of Include ${cleanLine(pattern, 120)} are left out, since they stand within another block`,
  );
  return lines.slice(0, first);
}

async function includedBy(pattern: string, way: readonly string[], facts: IncludeFacts): Promise<Included> {
  const lines: string[] = [];
  const warnings: string[] = [];
  for (const file of await matching(expandHome(pattern, facts.home, facts.base))) {
    if (way.includes(file) || way.length >= DEEPEST) {
      warnings.push(`ssh_config: Include ${cleanLine(file, 200)} is left out: it includes itself or nests too deep`);
      continue;
    }
    const text = await readIfThere(file).catch((error: unknown) => {
      warnings.push(`ssh_config: Include ${cleanLine(file, 200)} is left out: ${cleanLine(String(error), 200)}`);
      return undefined;
    });
    if (text === undefined) continue;
    const inner = await expand(text, [...way, file], facts);
    lines.push(...inner.lines);
    warnings.push(...inner.warnings);
  }
  return { lines, warnings };
}

/** Files that a name with * and ? in any part of it means, sorted as glob(3) does. */
async function matching(pattern: string): Promise<readonly string[]> {
  if (!/[*?]/.test(pattern)) return [pattern];
  let found = [isAbsolute(pattern) ? sep : '.'];
  for (const part of pattern.split(/[\\/]/).filter((piece) => piece !== '')) {
    const next = await Promise.all(found.map((folder) => within(folder, part)));
    found = next.flat();
  }
  return found;
}

async function within(folder: string, part: string): Promise<readonly string[]> {
  if (!/[*?]/.test(part)) return [join(folder, part)];
  const shape = part
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const names = await readdir(folder).catch((error: unknown) =>
    isAbsent(error) ? [] : Promise.reject(asError(error)),
  );
  const hidden = part.startsWith('.');
  return names
    .filter((name) => new RegExp(`^${shape}$`, 's').test(name) && (hidden || !name.startsWith('.')))
    .sort()
    .map((name) => join(folder, name));
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(file);
    if (bytes.length > LARGEST_FILE) throw new RangeError('it is larger than 1 MiB');
    return bytes.toString('utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The keyword of a line in lower case, and what follows it. */
export function keywordOf(line: string): readonly [string, string] | readonly [] {
  const match = /^\s*([A-Za-z]\w*)(?:\s*=\s*|\s+)(.*)$/.exec(line);
  return match?.[1] === undefined ? [] : [match[1].toLowerCase(), match[2] ?? ''];
}

/** The library knows these two by their usual spelling only, and needs them for Match. */
function withKnownCase(line: string): string {
  return line.replace(/^(\s*)hostname\b/i, '$1HostName').replace(/^(\s*)user\b/i, '$1User');
}
