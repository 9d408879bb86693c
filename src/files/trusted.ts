import { createHash, randomUUID } from 'node:crypto';
import { open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, fileError } from './file-error.ts';
import type { Paths } from './paths.ts';
import { ensurePrivateFolder } from './private-folder.ts';
import { readProfileText } from './profiles.ts';

/** What a person said about profiles of working directories: this file, with this content, may do what it says. */
type TrustedProfiles = ReadonlyMap<string, string>;

/** Whether this text of this file was trusted; any change of the file ends that. */
export async function isTrusted(file: string, text: string, paths: Pick<Paths, 'stateDir'>): Promise<boolean> {
  return (await load(paths)).get(await placeOf(file)) === digest(text);
}

/** Trusts the file as it is now. @throws FILE, and what reading a profile throws */
export async function trustProfile(file: string, paths: Pick<Paths, 'stateDir'>): Promise<void> {
  const text = await readProfileText(file);
  await save(new Map([...(await load(paths)), [await placeOf(file), digest(text)]]), paths);
}

/** @returns whether it was trusted, in whatever form. @throws FILE */
export async function untrustProfile(file: string, paths: Pick<Paths, 'stateDir'>): Promise<boolean> {
  const trusted = new Map(await load(paths));
  const was = trusted.delete(await placeOf(file));
  if (was) await save(trusted, paths);
  return was;
}

function fileIn({ stateDir }: Pick<Paths, 'stateDir'>): string {
  return join(stateDir, 'trusted.json');
}

/** A damaged file trusts nothing: the person is asked again. */
async function load(paths: Pick<Paths, 'stateDir'>): Promise<TrustedProfiles> {
  const text = await readFile(fileIn(paths), 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return '';
    throw fileError(`read ${fileIn(paths)}`, error);
  });
  return new Map(
    Object.entries(profilesIn(text)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function profilesIn(text: string): object {
  try {
    const value: unknown = text === '' ? {} : JSON.parse(text);
    const profiles: unknown = typeof value === 'object' && value !== null && 'profiles' in value ? value.profiles : {};
    return typeof profiles === 'object' && profiles !== null ? profiles : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

async function save(trusted: TrustedProfiles, paths: Pick<Paths, 'stateDir'>): Promise<void> {
  await ensurePrivateFolder(paths.stateDir);
  const draft = `${fileIn(paths)}.${randomUUID()}.new`;
  try {
    const out = await open(draft, 'wx', 0o600);
    try {
      await out.writeFile(`${JSON.stringify({ version: 1, profiles: Object.fromEntries(trusted) }, null, 2)}\n`);
      await out.sync();
    } finally {
      await out.close();
    }
    await rename(draft, fileIn(paths));
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined); // the write's own failure is the one to tell
    throw fileError(`write ${fileIn(paths)}`, error);
  }
}

/** One file has one place, however it was reached. */
function placeOf(file: string): Promise<string> {
  return realpath(file).catch((error: unknown) => {
    throw fileError(`find ${file}`, error);
  });
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
