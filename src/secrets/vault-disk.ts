import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FileHeldError, takeFileLock } from '../files/exclusive.ts';
import { ensurePrivateFolder } from '../files/private-folder.ts';
import { TunnelError } from '../model/failure.ts';
import { formatVault, LARGEST_VAULT_BYTES, parseVault, type VaultFile } from './vault-format.ts';

/** @returns undefined where there is no vault @throws SECRET_STORE where it is damaged, or others may read it */
export async function readVault(file: string): Promise<VaultFile | undefined> {
  const text = await readPrivately(file);
  if (text === undefined) return undefined;
  const vault = parseVault(text);
  if (!('damage' in vault)) return vault;
  throw vaultFailure('read', file, vault.damage, {
    hint: 'Restore it from a backup, or move it away and store the secrets anew.',
  });
}

/**
 * Replaces the vault by what `change` makes of it, whole or not at all: nobody reads half a file, and of two writers
 * none undoes the other. `change` must not wait; what it throws leaves the vault as it was.
 */
export async function changeVault(file: string, change: (before: VaultFile | undefined) => VaultFile): Promise<void> {
  await ensurePrivateFolder(dirname(file));
  const unlock = await lock(file);
  try {
    await write(file, formatVault(change(await readVault(file))));
  } finally {
    await unlock();
  }
}

/** @param verb what could not be done with the vault */
export function vaultFailure(
  verb: string,
  file: string,
  why: string,
  options: { readonly hint?: string; readonly cause?: unknown } = {},
): TunnelError {
  return new TunnelError('SECRET_STORE', `Cannot ${verb} the vault ${file}: ${why}`, options);
}

async function readPrivately(file: string): Promise<string | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a named pipe must not hold us
    const facts = await handle.stat();
    if (!facts.isFile()) throw vaultFailure('read', file, 'it is not a plain file');
    if (facts.size > LARGEST_VAULT_BYTES) throw vaultFailure('read', file, 'it is too large for one');
    if (process.platform !== 'win32' && (facts.mode & 0o077) !== 0) {
      throw vaultFailure('read', file, 'others may read it', { hint: `Run: chmod 600 ${file}` });
    }
    return await handle.readFile('utf8');
  } catch (error) {
    if (error instanceof TunnelError) throw error;
    if (codeOf(error) === 'ENOENT') return undefined;
    throw vaultFailure('read', file, reasonOf(error), { cause: error });
  } finally {
    await handle?.close();
  }
}

async function write(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}.new`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined); // the write's own failure is the one to tell
    throw vaultFailure('write', file, reasonOf(error), { cause: error });
  }
}

/** Rejects with SECRET_STORE in words for the person. @returns how to give it back */
async function lock(file: string): Promise<() => Promise<void>> {
  try {
    return await takeFileLock(file);
  } catch (error) {
    const hint = error instanceof FileHeldError ? { hint: `Remove ${error.path} if it is stuck.` } : {};
    throw vaultFailure('change', file, reasonOf(error), { ...hint, cause: error });
  }
}

function reasonOf(error: unknown): string {
  const words: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    ENOSPC: 'the disk is full',
    EROFS: 'the file system is read-only',
  };
  return words[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
