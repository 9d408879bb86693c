import { readFile } from 'node:fs/promises';
import { eventually } from './eventually.ts';

/** Resolves once a process that was sent SIGSTOP stands still: on a busy machine that takes a moment. One that has ended does. */
export async function standingStill(pid: number): Promise<void> {
  const state = async (): Promise<string> => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return /^\d+ \(.*\) (\S)/s.exec(stat)?.[1] ?? 'X';
  };
  await eventually(async () => 'TZX'.includes(await state()), { what: `process ${pid} to stand still` });
}
