import { readFile, stat } from 'node:fs/promises';
import { joinKnownHosts, NO_KNOWN_HOSTS, parseKnownHosts, type KnownHosts } from '../known-hosts/parse.ts';
import { errorCode, fileError } from './file-error.ts';

/** Beyond this a file is no list of hosts, and reading it would stall everybody. */
const LARGEST_BYTES = 64 * 1024 * 1024;

/**
 * Reads known_hosts files, in order. A missing file knows nobody; one that cannot be read rejects with FILE, since
 * "unreadable" must never pass for "unknown" (CVE-2025-26465 was such a pass).
 */
export async function readKnownHosts(files: readonly string[]): Promise<KnownHosts> {
  return joinKnownHosts(await Promise.all(files.map(readOne)));
}

async function readOne(file: string): Promise<KnownHosts> {
  try {
    const { size } = await stat(file);
    if (size > LARGEST_BYTES) throw new Error(`it is larger than ${LARGEST_BYTES} bytes`);
    return parseKnownHosts(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return NO_KNOWN_HOSTS;
    throw fileError(`read the known hosts in ${file}`, error);
  }
}
