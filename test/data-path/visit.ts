import type { Socket } from 'node:net';
import { setTimeout as pauseFor } from 'node:timers/promises';
import fc from 'fast-check';
import { resetOrDestroy } from '../../src/forward/splice/reset.ts';
import { asError } from '../../src/model/failure.ts';
import { ByteFlow } from './byte-flow.ts';

/** What one end of a connection does. */
export interface Side {
  readonly writes: readonly number[];
  /** Stands still whenever it has read so much more; 0 for never. */
  readonly standsEvery: number;
  readonly standsMs: number;
  /** Ends its direction only when the other side has ended; both may not. */
  readonly endsLast: boolean;
}

/** One connection through a forward. */
export interface Visit {
  readonly client: Side;
  readonly target: Side;
  /** By Unix sockets, in which the kernel holds a twentieth of what it holds in TCP: whoever is slow is felt at once. */
  readonly unix: boolean;
  /** This side resets it when it has read so much; undefined for an end in peace. */
  readonly cut: { readonly by: 'client' | 'target'; readonly afterBytes: number } | undefined;
}

/** One in so many; undefined else. */
export function rarely<T>(oneIn: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

/** @param mostBytes of one write */
export function visits(mostBytes: number): fc.Arbitrary<readonly Visit[]> {
  const size = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 40 }) },
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 70_000 }) },
    { weight: 3, arbitrary: fc.integer({ min: 1, max: mostBytes }) },
  );
  const side = fc.record({
    writes: fc.oneof(
      { weight: 2, arbitrary: fc.array(size, { maxLength: 8 }) },
      fc.array(fc.integer({ min: mostBytes >> 1, max: mostBytes }), { minLength: 1, maxLength: 3 }), // a transfer
    ),
    standsEvery: fc.oneof(fc.constant(0), { weight: 2, arbitrary: fc.integer({ min: 20_000, max: 500_000 }) }),
    standsMs: fc.integer({ min: 1, max: 15 }),
  });
  const visit = fc
    .record({
      client: side,
      target: side,
      last: fc.constantFrom('client', 'target', 'nobody'),
      unix: fc.boolean(),
      cut: rarely(
        5,
        fc.record({
          by: fc.constantFrom('client' as const, 'target' as const),
          afterBytes: fc.integer({ min: 1, max: 500_000 }),
        }),
      ),
    })
    .map(({ client, target, last, unix, cut }) => ({
      client: { ...client, endsLast: last === 'client' },
      target: { ...target, endsLast: last === 'target' },
      unix,
      cut,
    }));
  return fc.array(visit, { minLength: 1, maxLength: 6 });
}

/** One end at work on its socket. */
export class Party {
  readonly #socket: Socket;
  readonly #side: Side;
  readonly #sends: ByteFlow;
  readonly #expects: ByteFlow;
  readonly #cutAfterBytes: number;
  readonly #onRead: () => void;
  readonly #closed: Promise<unknown>;
  #sinceStand = 0;
  #heardEnd = false;
  #hasCut = false;
  #wrong: Error | undefined;

  constructor(
    socket: Socket,
    side: Side,
    seeds: { readonly sends: number; readonly expects: number },
    cutAfterBytes: number,
    onRead: () => void,
  ) {
    this.#socket = socket;
    this.#side = side;
    this.#sends = new ByteFlow(seeds.sends);
    this.#expects = new ByteFlow(seeds.expects);
    this.#cutAfterBytes = cutAfterBytes;
    this.#onRead = onRead;
    this.#closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined); // how it ended is told by what has come
    socket.on('end', () => (this.#heardEnd = true));
  }

  get sentBytes(): number {
    return this.#sends.bytes;
  }

  get receivedBytes(): number {
    return this.#expects.bytes;
  }

  /** It has reset the connection. */
  get hasCut(): boolean {
    return this.#hasCut;
  }

  /** The other one's end has come. */
  get heardEnd(): boolean {
    return this.#heardEnd;
  }

  /** Takes the socket over. Resolves when it has closed. @throws where a wrong byte came */
  async run(first: Buffer | undefined): Promise<void> {
    if (first !== undefined) this.#hear(first);
    this.#socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    await this.#write();
    await this.#closed;
    if (this.#wrong !== undefined) throw this.#wrong;
  }

  async #write(): Promise<void> {
    const socket = this.#socket;
    for (const bytes of this.#side.writes) {
      if (socket.destroyed) return;
      if (!socket.write(this.#sends.make(bytes))) await this.#until('drain');
    }
    if (this.#side.endsLast && !this.#heardEnd) await this.#until('end');
    socket.end();
  }

  #until(event: 'drain' | 'end'): Promise<unknown> {
    return Promise.race([new Promise<void>((resolve) => this.#socket.once(event, resolve)), this.#closed]);
  }

  #hear(chunk: Buffer): void {
    if (chunk.length === 0 || this.#wrong !== undefined) return;
    try {
      this.#expects.check(chunk);
    } catch (error) {
      this.#wrong = asError(error);
      return void this.#socket.destroy();
    }
    this.#onRead();
    if (this.#expects.bytes >= this.#cutAfterBytes) {
      this.#hasCut = true;
      return resetOrDestroy(this.#socket);
    }
    this.#sinceStand += chunk.length;
    if (this.#side.standsEvery === 0 || this.#sinceStand < this.#side.standsEvery) return;
    this.#sinceStand = 0;
    this.#socket.pause();
    void pauseFor(this.#side.standsMs).then(() => this.#socket.resume());
  }
}
