import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A long path to a port of this machine: every byte takes `delayMs` each way, at any rate. */
export interface DelayLine {
  readonly port: number;
  close(): void;
}

/** How far a sender may be ahead, in bytes for each direction of a connection: more than any window of SSH. */
const MOST_UNDER_WAY = 256 * 1024 * 1024;

/**
 * Delays what passes. Each hop acknowledges at once, so this shows the windows and round trips of SSH and not those of TCP.
 */
export async function delayLine(targetPort: number, delayMs: number): Promise<DelayLine> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on('error', () => to.destroy());
      from.once('close', () => open.delete(from));
      carry(from, to, delayMs);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** One timer a stretch of chunks, not one for each: timers of 50 ms keep their order, and a queue keeps it surely. */
function carry(from: Socket, to: Socket, delayMs: number): void {
  const queue: { readonly dueMs: number; readonly chunk: Buffer | undefined }[] = [];
  let underWay = 0;
  let armed = false;
  const release = (): void => {
    armed = false;
    const nowMs = performance.now();
    let count = 0;
    for (const { dueMs, chunk } of queue) {
      if (dueMs > nowMs) break;
      count += 1;
      if (chunk === undefined) to.end();
      else if (!to.destroyed) to.write(chunk);
      underWay -= chunk?.length ?? 0;
    }
    queue.splice(0, count);
    if (underWay < MOST_UNDER_WAY / 2) from.resume();
    arm();
  };
  const arm = (): void => {
    const first = queue[0];
    if (armed || first === undefined) return;
    armed = true;
    setTimeout(release, Math.max(0, first.dueMs - performance.now()));
  };
  const add = (chunk: Buffer | undefined): void => {
    queue.push({ dueMs: performance.now() + delayMs, chunk });
    underWay += chunk?.length ?? 0;
    if (underWay > MOST_UNDER_WAY) from.pause();
    arm();
  };
  from.on('data', add);
  from.on('end', () => add(undefined));
}
