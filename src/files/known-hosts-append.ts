import { randomBytes } from 'node:crypto';
import { mkdir, open, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { matchesHost } from '../known-hosts/match.ts';
import { formatKnownHost, parseKnownHosts } from '../known-hosts/parse.ts';
import { takeFileLock } from './exclusive.ts';
import { fileError } from './file-error.ts';
import { rewritesEnded } from './foreign-rewrite.ts';

/** Each is lost only where another program rewrites the file just then. */
const MOST_TRIES = 50;

/**
 * Records a key under a name (as `knownHostName` makes it), unless the file has it. With one append, so that nothing is
 * lost that others append; and once more where a program that rewrites the file (`ssh-keygen -R`) had not seen it yet.
 * Makes the file 0600 and its folder 0700 where they are missing. Rejects with FILE.
 * @param hashed hide the name; it is hidden too where the file already hides names
 */
export async function appendKnownHost(file: string, name: string, key: Buffer, hashed: boolean): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    if (!(await makeFile(file))) return; // a device, such as /dev/null, remembers nothing
    const path = await realpath(file);
    const unlock = await lockWherePossible(path);
    try {
      await appendUntilThere(path, name, key, hashed);
    } finally {
      await unlock();
    }
  } catch (error) {
    throw fileError(`record the host key in ${file}`, error);
  }
}

/** @returns false where it is no plain file */
async function makeFile(file: string): Promise<boolean> {
  const handle = await open(file, 'a', 0o600);
  try {
    return (await handle.stat()).isFile();
  } finally {
    await handle.close();
  }
}

/** In a folder where no file can be made there is no lock, and nobody who could rewrite the file: an append is enough. */
async function lockWherePossible(path: string): Promise<() => Promise<void>> {
  try {
    return await takeFileLock(path);
  } catch {
    return () => Promise.resolve();
  }
}

async function appendUntilThere(path: string, name: string, key: Buffer, hashed: boolean): Promise<void> {
  for (let tries = 0; tries <= MOST_TRIES; tries++) {
    if (tries > 0) await rewritesEnded(path);
    if (await appendUnlessThere(path, name, key, hashed)) return;
  }
  throw new Error('another program rewrites it again and again');
}

/** @returns whether it was there already */
async function appendUnlessThere(path: string, name: string, key: Buffer, hashed: boolean): Promise<boolean> {
  const handle = await open(path, 'a+', 0o600);
  try {
    const text = await handle.readFile('latin1');
    const isIt = ({ marker, hosts, key: known }: ReturnType<typeof parseKnownHosts>['entries'][number]): boolean =>
      marker === 'none' && known.equals(key) && matchesHost(hosts, name);
    if (parseKnownHosts(text, path).entries.some(isIt)) return true;
    const hide = hashed || /^\|1\|/m.test(text);
    const line = formatKnownHost(name, key, hide ? randomBytes(20) : undefined);
    const lead = text === '' || text.endsWith('\n') ? '' : '\n'; // a hand-edited last line may lack its end
    await handle.appendFile(`${lead}${line}\n`);
    await handle.datasync();
    return false;
  } finally {
    await handle.close();
  }
}
