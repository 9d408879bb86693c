import { readFile } from 'node:fs/promises';

/** Names one process for good: a pid alone is given to another program sooner or later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Of the running kernel; null where the system has none to read. */
  readonly bootId: string | null;
  /** When the process began, in the kernel's ticks; null where that cannot be read. */
  readonly processStart: string | null;
}

export type Liveness =
  | 'alive'
  /** A process has this pid, and nothing tells whether it is the same one. */
  | 'perhaps'
  | 'dead';

export async function ownIdentity(): Promise<ProcessIdentity> {
  const { pid } = process;
  return { pid, bootId: await currentBootId(), processStart: (await kernelFacts(pid))?.start ?? null };
}

/** Whether the process that was named so still runs. */
export async function livenessOf(identity: ProcessIdentity): Promise<Liveness> {
  const bootId = await currentBootId();
  if (identity.bootId !== null && bootId !== null && identity.bootId !== bootId) return 'dead';
  if (!exists(identity.pid)) return 'dead';
  const facts = await kernelFacts(identity.pid);
  if (facts === undefined || identity.processStart === null) return 'perhaps';
  return facts.start === identity.processStart && !facts.ended ? 'alive' : 'dead';
}

async function currentBootId(): Promise<string | null> {
  return (await readKernel('/proc/sys/kernel/random/boot_id'))?.trim() ?? null;
}

/** Signal 0 asks only. EPERM: it is there and somebody else's. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * proc(5), /proc/PID/stat: the name stands in parentheses and may hold anything, so count from the last one: field 3
 * is the state, field 22 the start. A zombie has ended, though its pid still answers to signals.
 */
async function kernelFacts(pid: number): Promise<{ start: string; ended: boolean } | undefined> {
  const text = await readKernel(`/proc/${pid}/stat`);
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? [];
  const [state = '', start] = [fields[0], fields[19]];
  return start === undefined ? undefined : { start, ended: state === 'Z' || state === 'X' };
}

/** undefined where the system has no such file, as everywhere but on Linux. */
async function readKernel(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
