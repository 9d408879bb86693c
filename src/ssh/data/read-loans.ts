import type { ReadMemory } from './read-pool.ts';

/** Who got memory of a read, and may need it beyond. */
export interface Borrower {
  /** The reads are over. @param released to be called, once, by who still needs the memory @returns whether it does not */
  settle(released: () => void): boolean;
}

/** 1 MiB: two packets for each of 16 channels, and less than a millisecond of a fast connection. */
const MOST_READS = 4;
/** Of fewer channels one read has enough packets for each. */
const MANY_BORROWERS = 4;

/**
 * Who was lent memory of which reads. Where many channels share a connection one read has a packet or two for each, and a write
 * for every packet wakes its client as often: a few reads are lent before anybody settles, so that what they have for one goes out
 * together.
 */
export class ReadLoans {
  readonly #release: (memory: ReadMemory) => void;
  #reads: ReadMemory[] = [];
  #lent = new Map<Borrower, ReadMemory[]>();

  /** @param release called for each hold on a memory that ends */
  constructor(release: (memory: ReadMemory) => void) {
    this.#release = release;
  }

  /** Whether another read is worth waiting for before all settle. */
  get mayGrow(): boolean {
    return this.#reads.length < MOST_READS && this.#lent.size >= MANY_BORROWERS;
  }

  /** What is lent from now on is of this memory, which is held until all have settled. */
  begin(memory: ReadMemory): void {
    memory.holds += 1;
    this.#reads.push(memory);
  }

  lend(borrower: Borrower): void {
    const memory = this.#reads.at(-1);
    if (memory === undefined) return;
    const lent = this.#lent.get(borrower);
    if (lent === undefined) this.#lent.set(borrower, [memory]);
    else if (lent.at(-1) === memory) return;
    else lent.push(memory);
    memory.holds += 1;
  }

  /** Safe to call when nothing is lent. */
  settle(): void {
    const reads = this.#reads;
    if (reads.length === 0) return;
    const lent = this.#lent;
    this.#reads = [];
    this.#lent = new Map();
    for (const [borrower, memories] of lent)
      if (borrower.settle(() => this.#releaseAll(memories))) this.#releaseAll(memories);
    this.#releaseAll(reads);
  }

  #releaseAll(memories: readonly ReadMemory[]): void {
    for (const memory of memories) this.#release(memory);
  }
}
