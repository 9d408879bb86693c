/** What one round of each measure is: bytes and times at the client's side of a port, by native clients (native.ts). */
import { readFileSync } from 'node:fs';
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

/** CPU seconds (user and system) that these processes have used so far. Linux only, as this bench is. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readProc(pid, 'stat').split(') ')[1]?.split(' ') ?? ['', ...Array.from({ length: 12 }, () => '0')];
    return sum + (Number(fields[11]) + Number(fields[12])) / 100; // clock ticks: 100 a second on every Linux we know
  }, 0);
}

/** Resident memory in MB (10^6 bytes). */
export function residentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readProc(pid, 'status'))?.[1] ?? '0';
    return sum + (Number(kb) * 1_024) / 1e6;
  }, 0);
}

async function one(what: string, port: number, ...numbers: readonly number[]): Promise<number> {
  return (await runClient(what, port, ...numbers))[0] ?? NaN;
}

/** Empty for a process that has ended: it uses nothing any more. */
function readProc(pid: number, file: 'stat' | 'status'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
