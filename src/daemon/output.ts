import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Paths } from '../files/paths.ts';
import { ensurePrivateFolder } from '../files/private-folder.ts';

/** Where a supervisor in the background writes what has no other place: that it cannot start, or broke. */
export interface DaemonOutput {
  readonly file: string;
  readonly fd: number;
  /** The end of what was written since this was opened, eight lines at most. */
  lastLines(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** It grows by a few lines a start: half a megabyte is years of them, or a loop. */
const LARGEST_BYTES = 512 * 1024;
const LAST_BYTES = 4096;
const LAST_LINES = 8;

/** Opens the file for a new supervisor to append to, and begins it anew where it has grown large. */
export async function openOutput({ stateDir, logFile }: Pick<Paths, 'stateDir' | 'logFile'>): Promise<DaemonOutput> {
  await ensurePrivateFolder(stateDir);
  await ensurePrivateFolder(dirname(logFile));
  const file = join(dirname(logFile), 'supervisor.out');
  const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants;
  const handle = await open(file, O_RDWR | O_APPEND | O_CREAT | (O_NOFOLLOW ?? 0), 0o600); // Windows has no O_NOFOLLOW
  if ((await handle.stat()).size > LARGEST_BYTES) await handle.truncate(0);
  const { size: start } = await handle.stat();
  return {
    file,
    fd: handle.fd,
    lastLines: async () => {
      const { size } = await handle.stat();
      const from = Math.max(start, size - LAST_BYTES);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(LAST_BYTES), 0, LAST_BYTES, from);
      const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
      return lines.filter((line) => line.trim() !== '').slice(-LAST_LINES);
    },
    close: () => handle.close(),
  };
}
