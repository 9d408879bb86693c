import { readFileSync } from 'node:fs';

/** Names one process for good: a pid alone is given to another program sooner or later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Of the running kernel; null where the system has none to read. */
  readonly bootId: string | null;
  /** When the process began, in the system's own words; null where that cannot be read. */
  readonly processStart: string | null;
}

export type Liveness =
  | 'alive'
  /** A process has this pid, and nothing tells whether it is the same one. */
  | 'perhaps'
  | 'dead';

export async function ownIdentity(): Promise<ProcessIdentity> {
  const { pid } = process;
  return { pid, bootId: currentBootId(), processStart: (await kernelFacts(pid))?.start ?? null };
}

/** Whether the process that was named so still runs. */
export async function livenessOf(identity: ProcessIdentity): Promise<Liveness> {
  const bootId = currentBootId();
  if (identity.bootId !== null && bootId !== null && identity.bootId !== bootId) return 'dead';
  if (!exists(identity.pid)) return 'dead';
  const facts = await kernelFacts(identity.pid);
  if (facts === undefined || identity.processStart === null) return 'perhaps';
  return facts.start === identity.processStart && !facts.ended ? 'alive' : 'dead';
}

/** Has a process that was stopped (SIGSTOP, or a shell's) run on, so that it can answer. Never signals another one. */
export async function wakeIfStopped(identity: ProcessIdentity): Promise<void> {
  const facts = await kernelFacts(identity.pid);
  if (facts?.stopped === true && (await livenessOf(identity)) === 'alive') process.kill(identity.pid, 'SIGCONT');
}

function currentBootId(): string | null {
  return readKernel('/proc/sys/kernel/random/boot_id')?.trim() ?? null;
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

interface KernelFacts {
  readonly start: string;
  /** A zombie has ended, though its pid still answers to signals. */
  readonly ended: boolean;
  /** By a signal: it has all its sockets, and answers nobody. */
  readonly stopped: boolean;
}

/** undefined where neither /proc nor ps tells, as on Windows. */
async function kernelFacts(pid: number): Promise<KernelFacts | undefined> {
  const stat = readKernel(`/proc/${pid}/stat`);
  return stat === undefined ? parsePs(await runPs(pid)) : parseStat(stat);
}

/** proc(5), /proc/PID/stat: the name stands in parentheses and may hold anything, so count from the last one: field 3 is the state, field 22 the start. */
export function parseStat(text: string): KernelFacts | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = '', start] = [fields[0], fields[19]];
  return start === undefined ? undefined : { start, ended: /^[ZX]/.test(state), stopped: state === 'T' };
}

/** What `ps -o stat= -o lstart=` prints, on macOS and the BSDs: `Ss   Sat Nov 22 16:18:24 2025`. */
export function parsePs(text: string): KernelFacts | undefined {
  const [, state, start] = /^\s*(\S+)\s+(\S.*\S)\s*$/.exec(text) ?? [];
  return state === undefined || start === undefined
    ? undefined
    : { start, ended: state.startsWith('Z'), stopped: state.startsWith('T') };
}

/** Out of memory, so nothing waits. undefined where the system has no such file, as everywhere but on Linux. */
function readKernel(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** '' where there is no ps, or no such process. */
async function runPs(pid: number): Promise<string> {
  const { execFile } = await import('node:child_process'); // no Linux needs it
  const args = ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)];
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }; // the date must read the same from every terminal
  return new Promise((resolve) => {
    execFile('ps', args, { env, timeout: 2_000 }, (error, stdout) => resolve(error === null ? stdout : ''));
  });
}
