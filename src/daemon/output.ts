import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError } from '../files/file-error.ts';
import type { Paths } from '../files/paths.ts';
import { ensurePrivateFolder } from '../files/private-folder.ts';
import type { TunnelError } from '../model/failure.ts';

/** Where a supervisor in the background writes what has no other place: that it cannot start, or broke. */
export interface DaemonOutput {
  readonly file: string;
  readonly fd: number;
  /** The end of what was written since this was opened, eight lines at most. */
  lastLines(): Promise<readonly string[]>;
  /** Why nothing can be written there, such as a full disk, which silences whoever would say so; undefined where it can. */
  silencedBy(): Promise<TunnelError | undefined>;
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
  const flags = O_RDWR | O_APPEND | O_CREAT | (O_NOFOLLOW ?? 0); // Windows has no O_NOFOLLOW
  const handle = await open(file, flags, 0o600).catch((error: unknown) => {
    throw unwritable(file, error);
  });
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
    silencedBy: () =>
      handle.appendFile('\n').then(
        () => undefined,
        (error: unknown) => unwritable(file, error),
      ),
    close: () => handle.close(),
  };
}

function unwritable(file: string, error: unknown): TunnelError {
  return fileError(
    `write ${file}`,
    error,
    'See that its folder can be written, or name another place with TUNNEL_HOME.',
  );
}
