import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Paths } from '../../files/paths.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { didYouMean } from '../../model/nearest.ts';
import { PROFILE_NAME } from '../../model/profile.ts';
import { readHead, type ProfileHead } from './profile-head.ts';

/** A profile that a bare name finds. */
export interface CatalogEntry extends ProfileHead {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  /** Whether it comes from a `.tunnel` folder of the working directory or above, rather than from the person's own. */
  readonly shared: boolean;
}

/** A longer profile is shown without its description: it cannot be a profile that loads. */
const LONGEST_READ = 256 * 1024;

/**
 * Every profile that a bare name finds from here, sorted by name: those of `.tunnel/` in the working directory or
 * above win over the person's own. Whether they are valid is not looked at.
 */
export async function readCatalog(paths: Paths, cwd: string): Promise<readonly CatalogEntry[]> {
  const found = new Map<string, { readonly file: string; readonly shared: boolean }>();
  for (const folder of [...sharedFolders(cwd), paths.profilesDir]) {
    for (const file of profileFiles(folder)) {
      const name = basename(file, '.yaml');
      if (!found.has(name)) found.set(name, { file, shared: folder !== paths.profilesDir });
    }
  }
  const entries = [...found].map(async ([name, place]) => ({ name, ...place, ...(await headOf(place.file)) }));
  return (await Promise.all(entries)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The names alone: for completion and "did you mean", where no file need be opened. */
export function profileNames(paths: Paths, cwd: string): readonly string[] {
  const files = [...sharedFolders(cwd), paths.profilesDir].flatMap(profileFiles);
  return [...new Set(files.map((file) => basename(file, '.yaml')))].sort();
}

/** A sentence for each file beside the profiles that was meant for one by its looks, and that no name finds. */
export function passedOver(paths: Paths, cwd: string): readonly string[] {
  return [...sharedFolders(cwd), paths.profilesDir].flatMap((folder) =>
    entriesOf(folder)
      .filter((entry) => /^[^.].*\.ya?ml$/i.test(entry) && !isProfileFile(entry)) // hidden files are meant for nobody
      .sort()
      .map((entry) => `Passed over ${cleanLine(join(folder, entry), 300)}: ${misnamed(entry)}`),
  );
}

function misnamed(entry: string): string {
  const name = entry.replace(/\.ya?ml$/i, '');
  if (PROFILE_NAME.test(name)) return `a profile's file ends in .yaml, so name it ${name}.yaml`;
  return "a profile's name has lower-case letters, digits, dots, - and _ only, as in pop-mail.yaml";
}

/** PROFILE_NOT_FOUND, with the name that was probably meant. */
export function noSuchProfile(name: string, known: readonly string[]): TunnelError {
  return new TunnelError('PROFILE_NOT_FOUND', `Cannot find a profile ${name}${didYouMean(name, known)}`);
}

function sharedFolders(cwd: string): string[] {
  const folders: string[] = [];
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    folders.push(join(folder, '.tunnel'));
    if (dirname(folder) === folder) return folders;
  }
}

function profileFiles(folder: string): string[] {
  return entriesOf(folder)
    .filter(isProfileFile)
    .map((entry) => join(folder, entry));
}

function isProfileFile(entry: string): boolean {
  return entry.endsWith('.yaml') && PROFILE_NAME.test(basename(entry, '.yaml'));
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
    // No folder means no profiles there; one above us that we may not read is none of ours.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return [];
    throw new TunnelError('FILE', `Cannot list the profiles in ${folder}: ${String(code ?? thrown)}`, {
      cause: thrown,
    });
  }
}

const NO_HEAD: ProfileHead = { description: '', tags: [] };

/** A file that cannot be read is still listed: `tunnel check NAME` says what is wrong with it. */
async function headOf(file: string): Promise<ProfileHead> {
  try {
    const facts = statSync(file); // a pipe under a profile's name must not hold us
    if (!facts.isFile() || facts.size > LONGEST_READ) return NO_HEAD;
    const text = readFileSync(file, 'utf8');
    return readHead(text) ?? (await parsedHead(text));
  } catch {
    return NO_HEAD; // unreadable, a dangling link, an alias bomb: listed by name, and `check` tells
  }
}

/** Only for what the light reader cannot tell: loads the YAML parser. */
async function parsedHead(text: string): Promise<ProfileHead> {
  const { parse } = await import('yaml');
  const profile: unknown = parse(text);
  if (typeof profile !== 'object' || profile === null) return NO_HEAD;
  const description = 'description' in profile ? profile.description : '';
  const tags: unknown = 'tags' in profile ? profile.tags : [];
  return {
    description: typeof description === 'string' ? description : '',
    tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [],
  };
}
