import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';

/** In this environment a supervisor, and every one that it starts, can be made to hang. */
export const CAN_HANG = {
  NODE_OPTIONS: `--import=${fileURLToPath(new URL('hangs-on-signal.mjs', import.meta.url))}`,
} as const;

/** Resolves once the event loop of this supervisor hangs, for ever. */
export async function hang(pid: number): Promise<void> {
  process.kill(pid, 'SIGUSR2');
  await eventually(async () => (await readFile(`/proc/${pid}/comm`, 'utf8')) === 'hangs\n');
}
