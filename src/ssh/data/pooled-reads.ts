import type { Duplex } from 'node:stream';
import type { OnReadOpts, Socket } from 'node:net';
import { ReadLoans, type Borrower } from './read-loans.ts';
import { ReadPace } from './read-pace.ts';
import { READ_BYTES, type ReadMemory, type ReadPool } from './read-pool.ts';

/** Says whether ssh2 keeps a part of what it was given to read. */
export interface ReadGuard {
  /** Before a read. */
  begin(): void;
  /** A channel's data, which its receiver answers for. */
  claim(): void;
  /** After it. @returns whether all that was in it is dealt with */
  end(): boolean;
}

/** Where packets are put together whose parts come in two reads. */
export interface SplitPackets {
  /** Before a read: looks after the cipher in use, which each key exchange replaces. */
  attend(): void;
  /** After a read. @returns the memory of the packet that became whole in it, if there was one; its payload lies there */
  completed(): Buffer | undefined;
}

/** What a channel may do with the data of a packet: keep it, borrow it until it settles, or copy it before it returns. */
export type Leave = 'keep' | 'borrow' | 'copy';

/** A read of so little is copied: cheaper than to have memory lie for it, and a late reader of a few bytes holds no 256 KiB. */
const SMALL_BYTES = 8 * 1024;
/** No MAC of SSH is longer (hmac-sha2-512). */
const LONGEST_MAC = 64;
/** The shortest of Node's timers: some 200 to 800 KB of what is fast enough to rest. */
const REST_MS = 1;

const known = new WeakMap<Duplex, PooledReads>();

/** The pooled reads of a socket that was made with them. */
export function pooledReadsOf(stream: Duplex): PooledReads | undefined {
  return known.get(stream);
}

/**
 * Reads a socket into memory that is used again, and emits it as 'data' like any other socket. Until `reuse` everything is
 * copied out of it. Each turn of the event loop has one full read, so that a fast download leaves the others theirs, and a fast
 * connection rests between reads (ReadPace).
 */
export class PooledReads {
  /** For `net.connect`. */
  readonly onread: OnReadOpts = {
    buffer: () => this.#current.bytes,
    callback: (bytes) => this.#read(bytes),
  };
  readonly #pool: ReadPool;
  readonly #pace = new ReadPace();
  #socket: Socket | undefined;
  #guard: ReadGuard | undefined;
  #splits: SplitPackets | undefined;
  #current: ReadMemory;
  /** Read before, and kept for a packet whose MAC may be missing. */
  #behind: ReadMemory[] = [];
  readonly #loans = new ReadLoans((memory) => this.#released(memory));
  #readBytes = 0;
  #lending = false;
  /** Of the last packet of data in this read. */
  #lastDataBytes = 0;
  /** Whose that was, over all reads: told apart, never used. */
  #lastOwner: object | undefined;
  /** Somebody else than before had data in this read. */
  #shared = false;

  constructor(pool: ReadPool) {
    this.#pool = pool;
    this.#current = pool.take();
  }

  /** The socket that was made with `onread`. */
  serve(socket: Socket): void {
    this.#socket = socket;
    known.set(socket, this);
  }

  /** From now on memory is used again as far as the guard and the borrowers allow. */
  reuse(guard: ReadGuard, splits: SplitPackets): void {
    this.#guard = guard;
    this.#splits = splits;
  }

  /** Answers for the data of one packet: the owner does with it what the answer allows. */
  claim(data: Buffer, owner: object): Leave {
    this.#lastDataBytes = data.length;
    if (owner !== this.#lastOwner) {
      this.#shared ||= this.#lastOwner !== undefined;
      this.#lastOwner = owner;
    }
    this.#guard?.claim();
    // Its MAC came only now: it lies in an earlier read, which goes back as soon as this one is over.
    for (const { bytes } of this.#behind) if (bytes.buffer === data.buffer) return 'copy';
    return this.#lending ? 'borrow' : 'keep';
  }

  /** Has it settle when this read is over. */
  lendTo(borrower: Borrower): void {
    this.#loans.lend(borrower);
  }

  #read(bytes: number): boolean {
    const chunk = this.#current.bytes.subarray(0, bytes);
    this.#readBytes += bytes;
    this.#lastDataBytes = 0;
    this.#shared = false;
    const guard = this.#guard;
    if (guard === undefined || bytes <= SMALL_BYTES) this.#copy(Buffer.from(chunk));
    else this.#lend(chunk, guard);
    this.#freeBehind();
    this.#goOn(bytes);
    return true;
  }

  /** What is whole only now may lie in the read before: ssh2 must not keep it either. */
  #copy(chunk: Buffer): void {
    this.#guard?.begin();
    this.#socket?.emit('data', chunk);
    if (this.#guard?.end() === false) this.#spoilBehind();
  }

  #lend(chunk: Buffer, guard: ReadGuard): void {
    const memory = this.#current;
    guard.begin();
    this.#splits?.attend();
    this.#loans.begin(memory);
    this.#lending = true;
    this.#socket?.emit('data', chunk);
    this.#lending = false;
    memory.split = this.#splits?.completed();
    if (!guard.end()) {
      memory.spoiled = true;
      this.#spoilBehind();
    }
    memory.endsAt = this.#readBytes;
    this.#behind.push(memory);
    this.#current = this.#pool.take();
  }

  #spoilBehind(): void {
    for (const memory of this.#behind) memory.spoiled = true;
  }

  /** What is still held then goes back when the last holder lets go of it. */
  #freeBehind(): void {
    const [first] = this.#behind;
    if (first === undefined || this.#readBytes - first.endsAt < LONGEST_MAC) return;
    this.#behind = this.#behind.filter((memory) => {
      if (this.#readBytes - memory.endsAt < LONGEST_MAC) return true;
      memory.endsAt = -Infinity;
      this.#giveBack(memory);
      return false;
    });
  }

  #released(memory: ReadMemory): void {
    memory.holds -= 1;
    this.#giveBack(memory);
  }

  #giveBack(memory: ReadMemory): void {
    if (memory.holds > 0 || memory.spoiled || memory.endsAt !== -Infinity) return;
    memory.endsAt = Infinity;
    this.#pool.give(memory);
  }

  /** After a full read libuv goes on by itself, up to 32 times; the check phase comes when every other socket was read. */
  #goOn(bytes: number): void {
    const socket = this.#socket;
    const facts = { bytes, full: bytes === READ_BYTES, lastDataBytes: this.#lastDataBytes, shared: this.#shared };
    const pace = this.#pace.after(facts, performance.now());
    this.#loans.settle();
    if (pace === 'at once') return;
    socket?.pause();
    if (pace === 'rested') setTimeout(() => socket?.resume(), REST_MS);
    else setImmediate(() => socket?.resume());
  }
}
