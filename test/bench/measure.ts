/** What one round of each measure is: bytes and times at the client's side of a port. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** MB/s (10^6 bytes) of one download over `streams` connections at once. */
export async function download(port: number, bytes: number, streams = 1): Promise<number> {
  return rate(bytes, streams, (share) => transfer(port, `down ${share}\n`, 0, share));
}

export async function upload(port: number, bytes: number, streams = 1): Promise<number> {
  return rate(bytes, streams, (share) => transfer(port, `up ${share}\n`, share, 1));
}

/** Microseconds from connect to the first byte echoed, one connection after the other. */
export async function firstByteUs(port: number, connections: number): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; count < connections; count += 1) {
    const startedAt = process.hrtime.bigint();
    const socket = await echoed(port, Buffer.from('x'));
    times.push(Number(process.hrtime.bigint() - startedAt) / 1_000);
    socket.destroy();
  }
  return times;
}

/** Microseconds from one byte sent to its echo, on one open connection. */
export async function pingPongUs(port: number, rounds: number): Promise<number[]> {
  const socket = await echoed(port, Buffer.from('x'));
  const times: number[] = [];
  for (let count = 0; count < rounds; count += 1) {
    const startedAt = process.hrtime.bigint();
    const back = once(socket, 'data');
    socket.write('y');
    await back;
    times.push(Number(process.hrtime.bigint() - startedAt) / 1_000);
  }
  socket.destroy();
  return times;
}

/** Connections a second: each opens, has 1 KiB echoed, and closes; `workers` at once. */
export async function connectionsPerSecond(port: number, connections: number, workers: number): Promise<number> {
  const startedAt = performance.now();
  const payload = Buffer.alloc(1024, 0x61);
  let left = connections;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      (await echoed(port, payload)).destroy();
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return connections / ((performance.now() - startedAt) / 1_000);
}

/** CPU seconds (user and system) that a process has used so far. Linux only, as this bench is. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return sum + (Number(fields[11]) + Number(fields[12])) / 100; // clock ticks: 100 a second on every Linux we know
  }, 0);
}

/** Resident memory in MB (10^6 bytes). */
export function residentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return sum + (Number(kb) * 1_024) / 1e6;
  }, 0);
}

async function rate(bytes: number, streams: number, one: (share: number) => Promise<void>): Promise<number> {
  const share = Math.floor(bytes / streams);
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: streams }, () => one(share)));
  return (share * streams) / 1e6 / ((performance.now() - startedAt) / 1_000);
}

const SENT = Buffer.alloc(1024 * 1024, 0x5a);
const SPARE = Buffer.alloc(1024 * 1024);

/** Sends the wish and `sendBytes`, and resolves once `expectBytes` have come back. */
function transfer(port: number, wish: string, sendBytes: number, expectBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = expectBytes;
    const onread = {
      buffer: SPARE, // one buffer for all: what arrives is counted, not kept
      callback: (size: number): boolean => {
        missing -= size;
        if (missing <= 0) {
          socket.destroy();
          resolve();
        }
        return true;
      },
    };
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    socket.once('error', reject);
    socket.once('close', () => (missing > 0 ? reject(new Error(`${missing} bytes did not arrive`)) : undefined));
    socket.once('connect', () => {
      socket.write(wish);
      pump(socket, sendBytes);
    });
  });
}

function pump(socket: Socket, left: number): void {
  while (left > 0) {
    const size = Math.min(left, SENT.length);
    left -= size;
    if (!socket.write(SENT.subarray(0, size))) {
      socket.once('drain', () => pump(socket, left));
      return;
    }
  }
}

/** An open connection over which the payload has been echoed once. */
function echoed(port: number, payload: Buffer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let missing = payload.length;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const read = (chunk: Buffer): void => {
      missing -= chunk.length;
      if (missing > 0) return;
      socket.off('data', read);
      socket.off('error', reject);
      socket.on('error', () => socket.destroy());
      resolve(socket);
    };
    socket.on('data', read);
    socket.once('error', reject);
    socket.once('connect', () => socket.write(Buffer.concat([Buffer.from('echo\n'), payload])));
  });
}
