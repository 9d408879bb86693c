import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** A UDP echo on a free loopback port. */
export interface DatagramEcho {
  readonly port: number;
  close(): void;
}

const LOST_AFTER_MS = 1_000;

export async function startDatagramEcho(): Promise<DatagramEcho> {
  const socket = createSocket('udp4');
  socket.on('message', (message, { port, address }) => socket.send(message, port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { port: socket.address().port, close: () => socket.close() };
}

/** Microseconds from one datagram sent to its echo, one after the other. @throws Error where one does not come back within a second */
export async function datagramPingUs(port: number, rounds: number): Promise<number[]> {
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const times: number[] = [];
  try {
    for (let count = 0; count < rounds; count += 1) {
      const startedAt = process.hrtime.bigint();
      await echoed(socket);
      times.push(Number(process.hrtime.bigint() - startedAt) / 1_000);
    }
  } finally {
    socket.close();
  }
  return times;
}

async function echoed(socket: Socket): Promise<void> {
  const back = once(socket, 'message', { signal: AbortSignal.timeout(LOST_AFTER_MS) });
  socket.send('y');
  await back;
}
