import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

/** What one short-lived client saw. Times are of performance.now(). */
export interface Visit {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly end: 'served' | 'refused' | 'cut' | 'waited too long';
}

const EVERY_MS = 100;
const PATIENCE_MS = 20_000;

/** Has one byte echoed over a connection of its own. */
export function visit(port: number, patienceMs = PATIENCE_MS): Promise<Visit> {
  return new Promise((resolve) => {
    const startedAtMs = performance.now();
    let connected = false;
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const done = (end: Visit['end']): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ startedAtMs, endedAtMs: performance.now(), end });
    };
    const timer = setTimeout(() => done('waited too long'), patienceMs);
    socket.on('connect', () => {
      connected = true;
      socket.write('x');
    });
    socket.on('data', () => done('served'));
    socket.on('end', () => done('cut'));
    socket.on('error', () => done(connected ? 'cut' : 'refused'));
  });
}

/** Clients that come ten times a second, whatever happens. */
export class Visitors {
  readonly visits: Visit[] = [];
  readonly #port: number;
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(port: number) {
    this.#port = port;
    this.#timer = setInterval(() => this.#send(), EVERY_MS);
  }

  /** Resolves with the first visit served that ended after that moment; undefined where none did within `forMs`. */
  async servedAfter(momentMs: number, forMs: number): Promise<Visit | undefined> {
    const endsAtMs = performance.now() + forMs;
    for (;;) {
      const served = this.visits.find(({ end, endedAtMs }) => end === 'served' && endedAtMs > momentMs);
      if (served !== undefined || performance.now() > endsAtMs) return served;
      await pause(10);
    }
  }

  async stop(): Promise<readonly Visit[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    return this.visits;
  }

  #send(): void {
    const done = visit(this.#port).then((one) => {
      this.visits.push(one);
      this.#open.delete(done);
    });
    this.#open.add(done);
  }
}

/** A connection that stays, over which one byte was echoed. */
export async function stay(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined); // 'close' follows, and is what the cases look at
  await once(socket, 'connect');
  const back = once(socket, 'data');
  socket.write('x');
  await back;
  return socket;
}

export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
