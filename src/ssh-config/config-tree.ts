import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { cleanLine } from '../model/clean.ts';
import { directiveOf, type Directive } from './lines.ts';
import { expandHome } from './tokens.ts';

/** As deep as ssh itself follows Include (READCONF_MAX_DEPTH in OpenSSH's readconf.c). */
const DEEPEST = 16;
const LARGEST_FILE = 1024 * 1024;

/** A line that says something, and the files that it includes, in the order in which ssh would read them. */
export interface PlacedDirective extends Directive {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly included: readonly ConfigTree[];
}
export type ConfigTree = readonly PlacedDirective[];

export interface TreeFacts {
  readonly home: string;
  /** What a relative name in an Include is relative to: ~/.ssh for the person's files, /etc/ssh for the system's. */
  readonly base: string;
  /** Told in words what had to be left out. */
  readonly onWarning: (warning: string) => void;
}

/**
 * Reads a file and everything that it includes; nothing is decided yet.
 * @returns undefined where the file itself is not there; rejects with the system's error where it cannot be read, and
 *   with a RangeError that names the place of a line that cannot
 */
export async function readConfigTree(file: string, facts: TreeFacts): Promise<ConfigTree | undefined> {
  const text = await readIfThere(file);
  return text === undefined ? undefined : parsed(text, [file], facts);
}

/** Lines that stand in no file, and include none. @throws RangeError */
export function treeOfLines(lines: readonly string[], name: string): ConfigTree {
  return lines.flatMap((text, index) => {
    const directive = placed(text, name, index + 1);
    return directive === undefined ? [] : [{ ...directive, file: name, line: index + 1, included: [] }];
  });
}

async function parsed(text: string, way: readonly string[], facts: TreeFacts): Promise<ConfigTree> {
  const file = way.at(-1) ?? '';
  const tree: PlacedDirective[] = [];
  for (const [index, written] of text.split('\n').entries()) {
    const line = index + 1;
    const directive = placed(written, file, line);
    if (directive === undefined) continue;
    const patterns = directive.keyword === 'include' ? directive.words : [];
    const included: ConfigTree[] = [];
    for (const pattern of patterns) included.push(...(await includedBy(pattern, `${file}:${line}`, way, facts)));
    tree.push({ ...directive, file, line, included });
  }
  return tree;
}

function placed(text: string, file: string, line: number): Directive | undefined {
  try {
    return directiveOf(text);
  } catch (error) {
    throw new RangeError(`${file} line ${line}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

async function includedBy(
  pattern: string,
  place: string,
  way: readonly string[],
  facts: TreeFacts,
): Promise<ConfigTree[]> {
  const leftOut = (file: string, why: string): void =>
    facts.onWarning(`ssh_config: Include ${cleanLine(file, 200)} (${place}) is left out: ${why}`);
  const trees: ConfigTree[] = [];
  for (const file of await matching(expandHome(pattern, facts.home, facts.base))) {
    if (way.includes(file) || way.length >= DEEPEST) {
      leftOut(file, 'it includes itself or nests too deep');
      continue;
    }
    const text = await readIfThere(file).catch((error: unknown) => {
      leftOut(file, cleanLine(String(error), 200));
      return undefined;
    });
    if (text !== undefined) trees.push(await parsed(text, [...way, file], facts));
  }
  return trees;
}

/** Files that a name with * ? or [a-z] in any part of it means, sorted as glob(3) does. */
async function matching(pattern: string): Promise<readonly string[]> {
  if (!GLOB.test(pattern)) return [pattern];
  let found = [isAbsolute(pattern) ? sep : '.'];
  for (const part of pattern.split(/[\\/]/).filter((piece) => piece !== '')) {
    const next = await Promise.all(found.map((folder) => within(folder, part)));
    found = next.flat();
  }
  return found;
}

const GLOB = /[*?]|\[.+\]/;

async function within(folder: string, part: string): Promise<readonly string[]> {
  if (!GLOB.test(part)) return [join(folder, part)];
  const shape = part.replace(/\[!?[^\]]+\]|[*?]|[.+^${}()|[\]\\]/g, globSign);
  const names = await readdir(folder).catch((error: unknown) =>
    isAbsent(error) ? [] : Promise.reject(error instanceof Error ? error : new Error(String(error))),
  );
  const hidden = part.startsWith('.');
  return names
    .filter((name) => new RegExp(`^${shape}$`, 's').test(name) && (hidden || !name.startsWith('.')))
    .sort()
    .map((name) => join(folder, name));
}

function globSign(sign: string): string {
  if (sign === '*') return '.*';
  if (sign === '?') return '.';
  return sign.length > 1 ? sign.replace(/^\[!/, '[^').replaceAll('\\', '\\\\') : `\\${sign}`;
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
