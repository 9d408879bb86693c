import { readFile } from 'node:fs/promises';
import { eventually } from './eventually.ts';

/** Resolves once a process that was sent SIGSTOP stands still: on a busy machine that takes a moment. One that has ended does. */
export async function standingStill(pid: number): Promise<void> {
  await eventually(async () => 'TZX'.includes(await stateOf(pid)), { what: `process ${pid} to stand still` });
}

/** Resolves once a process that was sent SIGKILL has let go of all it held. */
export async function ended(pid: number): Promise<void> {
  await eventually(async () => 'ZX'.includes(await stateOf(pid)), { what: `the end of process ${pid}` });
}

/** As in proc_pid_stat(5); X where there is no such process. */
async function stateOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return /^\d+ \(.*\) (\S)/s.exec(stat)?.[1] ?? 'X';
}
