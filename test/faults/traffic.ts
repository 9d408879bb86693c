import { connect } from 'node:net';
import { Chance } from './chance.ts';

/** What one client of the echo service saw, from connect to close. */
export interface Visit {
  readonly number: number;
  readonly startedAtMs: number;
  readonly tookMs: number;
  readonly sentBytes: number;
  readonly backBytes: number;
  /**
   * `whole`: all came back and the end was clean. `refused`: nobody listened. `cut`: it ended early. Whether by RST cannot be
   * told from here: libuv calls it a clean end where the RST came with the last bytes (POLLHUP after a part of them was read).
   */
  readonly end: 'whole' | 'cut' | 'refused';
  /** Where the first byte that is not what was sent came back; undefined where none did. */
  readonly wrongAt: number | undefined;
}

/** Clients that come at random, send what only they send, and write down what came back. */
export class Traffic {
  readonly visits: Visit[] = [];
  readonly #chance: Chance;
  readonly #port: number;
  readonly #open = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #number = 0;

  constructor(port: number, seed: number) {
    this.#port = port;
    this.#chance = new Chance(seed ^ 0x5eed);
  }

  /** A client every so often, on average. */
  start(everyMs: number): void {
    this.#timer = setTimeout(
      () => {
        this.#visit();
        this.start(everyMs);
      },
      everyMs * 2 * this.#chance.next(),
    );
  }

  /** No new clients; resolves when the last one has ended. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#open);
  }

  #visit(): void {
    const payload = this.#chance.bytes(this.#chance.pick([1, 100, 4_096, 70_000, 300_000]));
    const done = this.#talk(++this.#number, payload).then((visit) => {
      this.visits.push(visit);
      this.#open.delete(done);
    });
    this.#open.add(done);
  }

  #talk(number: number, payload: Buffer): Promise<Visit> {
    return new Promise((resolve) => {
      const startedAtMs = performance.now();
      let backBytes = 0;
      let wrongAt: number | undefined;
      let connected = false;
      let ended = false;
      const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('connect', () => {
        connected = true;
        socket.end(payload);
      });
      socket.on('data', (part: Buffer) => {
        const same = part.equals(payload.subarray(backBytes, backBytes + part.length));
        if (!same) wrongAt ??= backBytes;
        backBytes += part.length;
      });
      socket.on('end', () => (ended = true));
      socket.on('error', () => undefined); // 'close' follows, and tells the whole
      socket.on('close', () => {
        const whole = ended && backBytes === payload.length;
        const end = whole ? 'whole' : connected ? 'cut' : 'refused';
        const tookMs = performance.now() - startedAtMs;
        resolve({ number, startedAtMs, tookMs, sentBytes: payload.length, backBytes, end, wrongAt });
      });
    });
  }
}
