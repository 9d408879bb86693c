import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, realpath, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { didYouMean } from '../model/nearest.ts';
import { isProfilePath } from '../model/profile-name.ts';
import { PROFILE_NAME } from '../model/profile.ts';
import { errorCode, fileError } from './file-error.ts';
import type { Paths } from './paths.ts';

/** A profile's file, found by name or path. */
export interface ProfileFile {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  /** `project`: in a `.tunnel` folder, which comes with other people's files and must be trusted for some things. */
  readonly origin: 'path' | 'project' | 'home';
}

/** Larger than any real one by far. */
export const LARGEST_PROFILE = 1024 * 1024;

/**
 * Finds a profile: a path as it is, a name in `.tunnel/` of the working directory or above, then among the person's own.
 * @throws PROFILE_NOT_FOUND with the nearest name, USAGE for a path whose base name can be no profile's name
 */
export async function findProfile(nameOrPath: string, cwd: string, paths: Paths): Promise<ProfileFile> {
  if (isProfilePath(nameOrPath)) return atPath(resolve(cwd, nameOrPath));
  if (PROFILE_NAME.test(nameOrPath)) {
    for (const { folder, origin } of foldersOf(cwd, paths)) {
      const file = join(folder, `${nameOrPath}.yaml`);
      if (await isListed(folder, `${nameOrPath}.yaml`)) return { name: nameOrPath, file, origin };
    }
  }
  const known = (await listProfiles(cwd, paths)).map(({ name }) => name);
  const shown = cleanLine(nameOrPath, 80);
  throw new TunnelError('PROFILE_NOT_FOUND', `Cannot find a profile ${shown}${didYouMean(nameOrPath, known)}`);
}

/** Every profile that a bare name finds from here, by name. A folder that may not be read has none. */
export async function listProfiles(cwd: string, paths: Paths): Promise<readonly ProfileFile[]> {
  const found = new Map<string, ProfileFile>();
  for (const { folder, origin } of foldersOf(cwd, paths)) {
    for (const entry of await entriesOf(folder)) {
      const name = basename(entry, '.yaml');
      const fits = entry.endsWith('.yaml') && PROFILE_NAME.test(name);
      if (fits && !found.has(name)) found.set(name, { name, file: join(folder, entry), origin });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Reads a profile's text.
 * @throws PROFILE_NOT_FOUND where there is no such file, PROFILE_INVALID for what can be no profile (a folder, a link to
 *   nothing, too large, not UTF-8), FILE where it may not be read
 */
export async function readProfileText(file: string): Promise<string> {
  const bytes = await readBytes(file);
  if (bytes.length > LARGEST_PROFILE) throw unfit(file, 'it is larger than 1 MiB');
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw unfit(file, 'it is UTF-16: save it as UTF-8');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw unfit(file, 'it is not UTF-8 text', error);
  }
}

/**
 * Writes a profile in one step: who reads it sees the text before or the text after. A link stays a link; a new file is
 * 0600, in folders of 0700. @throws FILE
 */
export async function writeProfile(file: string, text: string): Promise<void> {
  const target = await behindLink(file);
  const draft = join(dirname(target), `.${basename(target)}.${randomUUID()}.new`);
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const out = await open(draft, 'wx', await modeOf(target));
    try {
      await out.writeFile(text);
      await out.sync();
    } finally {
      await out.close();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined); // the write's own failure is the one to tell
    throw fileError(`write ${file}`, error);
  }
}

/** Removes a profile's file; a link, not what it leads to. @throws FILE */
export async function removeProfile(file: string): Promise<void> {
  await unlink(file).catch((error: unknown) => {
    throw fileError(`remove ${file}`, error);
  });
}

/** Renames within a folder, and never over a file that is there. @throws FILE */
export async function renameProfile(from: string, to: string): Promise<void> {
  try {
    await link(from, to); // unlike rename(2), fails where there is something
    await unlink(from);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw fileError(`rename ${from}`, error);
    throw new TunnelError('FILE', `Cannot rename ${from}: ${to} is there already`, { cause: error });
  }
}

/** The folders of the lookup, in its order. */
function foldersOf(
  cwd: string,
  paths: Paths,
): readonly { readonly folder: string; readonly origin: 'project' | 'home' }[] {
  const folders: { folder: string; origin: 'project' | 'home' }[] = [];
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    folders.push({ folder: join(folder, '.tunnel'), origin: 'project' });
    if (dirname(folder) === folder) return [...folders, { folder: paths.profilesDir, origin: 'home' }];
  }
}

async function entriesOf(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error))) return [];
    throw fileError(`list ${folder}`, error);
  });
}

/** A link to nothing is listed too: it is there, and reading it says what is wrong with it. */
async function isListed(folder: string, entry: string): Promise<boolean> {
  return (await entriesOf(folder)).includes(entry);
}

function atPath(file: string): ProfileFile {
  const name = basename(file).replace(/\.ya?ml$/, '');
  if (!PROFILE_NAME.test(name)) {
    throw new TunnelError(
      'USAGE',
      `Cannot use ${cleanLine(file, 300)} as a profile: its name would be ${cleanLine(name, 80)}`,
      {
        hint: 'Name the file with lower-case letters, digits, dots, - and _ only, such as pop-mail.yaml.',
      },
    );
  }
  return { name, file, origin: basename(dirname(file)) === '.tunnel' ? 'project' : 'path' };
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    const facts = await stat(file); // a pipe under a profile's name must not hold us
    if (facts.isDirectory()) throw unfit(file, 'it is a folder');
    if (!facts.isFile()) throw unfit(file, 'it is no plain file');
    if (facts.size > LARGEST_PROFILE) throw unfit(file, 'it is larger than 1 MiB');
    const input = await open(file, 'r');
    try {
      return await input.readFile();
    } finally {
      await input.close();
    }
  } catch (error) {
    if (error instanceof TunnelError) throw error;
    throw await unreadable(file, error);
  }
}

async function unreadable(file: string, error: unknown): Promise<TunnelError> {
  const code = errorCode(error);
  if (code === 'ELOOP') return unfit(file, 'it is a link that leads in a circle', error);
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return fileError(`read ${file}`, error);
  if ((await entriesOf(dirname(file))).includes(basename(file))) return unfit(file, 'it is a link to nothing', error);
  return new TunnelError('PROFILE_NOT_FOUND', `Cannot find a profile at ${file}`, { cause: error });
}

function unfit(file: string, why: string, cause?: unknown): TunnelError {
  const problems = [{ file, line: 1, column: 1, message: `cannot be read: ${why}` }];
  return new TunnelError('PROFILE_INVALID', `Cannot read ${file}: ${why}`, { cause, problems });
}

async function behindLink(file: string): Promise<string> {
  return realpath(file).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return file;
    throw fileError(`write ${file}`, error);
  });
}

async function modeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ mode }) => mode & 0o777,
    () => 0o600, // it is new
  );
}
