import type { Socket } from 'node:net';

/** What a stretch of network does to bytes now; changed in place by the path that owns it. */
export interface PathRules {
  flow: 'pass' | 'hold' | 'lose';
  bytesPerSecond: number;
  delayMs: number;
  /** Up to so much more or less than `delayMs`, drawn for each piece; order is kept, as TCP keeps it. */
  jitterMs: number;
  /** Bytes arrive in pieces of at most so many. */
  sliceBytes: number;
}

/** A chunk that is under way, or the sender's FIN. */
interface Piece {
  readonly bytes: Buffer | undefined;
  readonly dueMs: number;
}

/** More than any window of these tests, so that a long path holds a whole flight. */
const MOST_UNDER_WAY_BYTES = 64 * 1024 * 1024;

/** One direction of one connection through a faulty path. Ends with its sockets. */
export class PathLane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #rules: PathRules;
  readonly #queue: Piece[] = [];
  #underWayBytes = 0;
  #freeAtMs = 0;
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #full = false;

  /** @param admit told of each chunk before it goes on; false loses it */
  constructor(from: Socket, to: Socket, rules: PathRules, admit: (bytes: number) => boolean) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    from.on('data', (chunk) => {
      if (admit(chunk.length)) this.#take(chunk);
    });
    from.on('end', () => {
      this.#queue.push({ bytes: undefined, dueMs: this.#due(0) });
      this.#run();
    });
    to.on('drain', () => {
      this.#full = false;
      this.#run();
      this.#steer(); // nothing may be left that would
    });
  }

  /** To be called when the rules have changed. */
  wake(): void {
    if (this.#rules.flow === 'hold') this.#from.pause();
    this.#run();
    this.#steer();
  }

  #take(chunk: Buffer): void {
    const step = Math.min(this.#rules.sliceBytes, chunk.length);
    for (let at = 0; at < chunk.length; at += step) {
      const bytes = chunk.subarray(at, at + step);
      this.#queue.push({ bytes, dueMs: this.#due(bytes.length) });
    }
    this.#underWayBytes += chunk.length;
    this.#run();
    this.#steer();
  }

  #due(bytes: number): number {
    const { bytesPerSecond, delayMs, jitterMs } = this.#rules;
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (bytes / bytesPerSecond) * 1_000;
    const dueMs = this.#freeAtMs + delayMs + jitterMs * (2 * Math.random() - 1);
    return (this.#lastDueMs = Math.max(this.#lastDueMs, dueMs));
  }

  #run(): void {
    if (this.#timer !== undefined) return;
    while (!this.#full && this.#rules.flow !== 'hold') {
      const [head] = this.#queue;
      if (head === undefined || this.#to.destroyed) return;
      const waitMs = head.dueMs - performance.now();
      if (waitMs > 0) return this.#later(setTimeout(() => this.#again(), waitMs));
      this.#queue.shift();
      this.#send(head);
      if (this.#rules.sliceBytes < Infinity) return this.#later(setImmediate(() => this.#again()));
    }
  }

  #send({ bytes }: Piece): void {
    if (bytes === undefined) {
      this.#to.end();
      return;
    }
    this.#underWayBytes -= bytes.length;
    if (!this.#to.write(bytes)) this.#full = true;
  }

  #later(timer: NodeJS.Timeout | NodeJS.Immediate): void {
    this.#timer = timer;
  }

  #again(): void {
    this.#timer = undefined;
    this.#run();
    this.#steer();
  }

  /** A sender whose bytes cannot go on has to wait, as TCP makes it wait. */
  #steer(): void {
    const busy = this.#rules.bytesPerSecond < Infinity && this.#queue.length > 0;
    if (this.#rules.flow === 'hold' || this.#full || busy || this.#underWayBytes > MOST_UNDER_WAY_BYTES) {
      this.#from.pause();
    } else this.#from.resume();
  }
}
