import { readdir, readFile } from 'node:fs/promises';

/** What a process holds and does while nothing is asked of it. */
export interface ProcessFacts {
  readonly fileDescriptors: number;
  readonly children: number;
  readonly residentMiB: number;
  /** Times a second that its main thread woke up: each timer that was left behind adds its own. */
  readonly wakeUps: number;
}

const WATCH_MS = 2_000;

/** Looks at a process for two seconds. */
export async function processFacts(pid: number): Promise<ProcessFacts> {
  const before = await switches(pid);
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  const [after, status, files, tasks] = await Promise.all([
    switches(pid),
    readFile(`/proc/${pid}/status`, 'utf8'),
    readdir(`/proc/${pid}/fd`),
    readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'),
  ]);
  return {
    fileDescriptors: files.length,
    children: tasks.split(' ').filter((child) => child !== '').length,
    residentMiB: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024,
    wakeUps: (after - before) / (WATCH_MS / 1_000),
  };
}

async function switches(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/task/${pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
}
