/** What one round of each measure is: bytes and times at the client's side of a port, by native clients (native.ts). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { runClient, startClient } from './native.ts';

/** MB/s (10^6 bytes) of one download over `streams` connections at once. */
export function download(port: number, bytes: number, streams = 1): Promise<number> {
  return one('down', port, bytes, streams);
}

export function upload(port: number, bytes: number, streams = 1): Promise<number> {
  return one('up', port, bytes, streams);
}

/** Microseconds from connect to the first byte echoed, one connection after the other: so many, or as many as the time allows. */
export function firstByteUs(port: number, connections: number, mostSeconds = 600): Promise<number[]> {
  return runClient('first', port, connections, mostSeconds);
}

/** Microseconds from one byte sent to its echo, on one open connection: so many, or as many as the time allows. */
export function pingPongUs(port: number, rounds: number, mostSeconds = 600): Promise<number[]> {
  return runClient('ping', port, rounds, mostSeconds);
}

/** The same while another connection moves bytes at full speed from before the first ping until after the last. */
export async function pingPongBesideUs(
  load: 'push' | 'pull',
  streams: number,
  port: number,
  rounds: number,
  mostSeconds: number,
): Promise<number[]> {
  const moving = await startClient(load, port, streams);
  try {
    return await pingPongUs(port, rounds, mostSeconds);
  } finally {
    await moving.stop();
  }
}

/** Connections a second: each opens, has 1 KiB echoed, and closes; `workers` at once. */
export function connectionsPerSecond(port: number, connections: number, workers: number): Promise<number> {
  return one('rate', port, connections, workers);
}

/**
 * CPU seconds that these processes have used so far, to the nanosecond (the first figure of schedstat, of each thread that lives): a transfer
 * of 200 MB is a dozen of the ticks in which `stat` counts. Linux only, as this bench is.
 */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (threadsOf(pid)?.reduce((all, one) => all + one, 0) ?? 0) / 1e9, 0);
}

/** Resident memory in MB (10^6 bytes). */
export function residentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const status = orGone(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? '';
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? '0';
    return sum + (Number(kb) * 1_024) / 1e6;
  }, 0);
}

async function one(what: string, port: number, ...numbers: readonly number[]): Promise<number> {
  return (await runClient(what, port, ...numbers))[0] ?? NaN;
}

function threadsOf(pid: number): number[] | undefined {
  return orGone(() =>
    readdirSync(`/proc/${pid}/task`).map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    ),
  );
}

/** undefined for a process that has ended: it uses nothing any more. */
function orGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if ((code === 'ENOENT' || code === 'ESRCH') && existsSync('/proc/self/schedstat')) return undefined;
    throw error;
  }
}
