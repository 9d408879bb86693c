import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exclusively } from './exclusive.ts';
import { errorCode, fileError } from './file-error.ts';
import { ensurePrivateFolder } from './private-folder.ts';

const LENGTH = 32;

/**
 * Random bytes of this home, made once: a router takes a mapping for ours by a number drawn from them, after a crash too.
 * Rejects with FILE where they can be neither read nor kept.
 */
export async function mappingSeed(path: string): Promise<Buffer> {
  const kept = await read(path);
  if (kept !== undefined) return kept;
  try {
    await ensurePrivateFolder(dirname(path));
    return await exclusively(path, async () => {
      const made = await read(path); // by another process, just now
      if (made !== undefined) return made;
      const seed = randomBytes(LENGTH);
      await writeFile(path, seed, { mode: 0o600 });
      return seed;
    });
  } catch (error) {
    throw fileError(`write ${path}`, error);
  }
}

/** Undefined where there is none, or a damaged one: cut short by a crash, or just being written. */
async function read(path: string): Promise<Buffer | undefined> {
  try {
    const seed = await readFile(path);
    return seed.length === LENGTH ? seed : undefined;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw fileError(`read ${path}`, error);
  }
}
