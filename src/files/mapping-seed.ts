import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, fileError } from './file-error.ts';
import { ensurePrivateFolder } from './private-folder.ts';

const LENGTH = 32;

/**
 * Random bytes of this home, made once: a router takes a mapping for ours by a number drawn from them, after a crash too.
 * Rejects with FILE where they can be neither read nor kept.
 */
export async function mappingSeed(path: string): Promise<Buffer> {
  const kept = await read(path);
  if (kept?.length === LENGTH) return kept;
  const seed = randomBytes(LENGTH);
  try {
    await ensurePrivateFolder(dirname(path));
    await writeFile(path, seed, { mode: 0o600, flag: kept === undefined ? 'wx' : 'w' });
    return seed;
  } catch (error) {
    const made = errorCode(error) === 'EEXIST' ? await read(path) : undefined; // by another process, just now
    if (made?.length === LENGTH) return made;
    throw fileError(`write ${path}`, error);
  }
}

async function read(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw fileError(`read ${path}`, error);
  }
}
