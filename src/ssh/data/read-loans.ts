import type { ReadMemory } from './read-pool.ts';

/** Who got memory of a read, and may need it beyond. */
export interface Borrower {
  /** The read is over. @param released to be called, once, by who still needs the memory @returns whether it does not */
  settle(released: () => void): boolean;
}

/** Who was lent memory of the read that is under way. All settle when it is over, so that what it had for one goes out together. */
export class ReadLoans {
  readonly #release: (memory: ReadMemory) => void;
  #memory: ReadMemory | undefined;
  #borrowers = new Set<Borrower>();

  /** @param release called for each hold on a memory that ends */
  constructor(release: (memory: ReadMemory) => void) {
    this.#release = release;
  }

  /** What is lent from now on is of this memory, which is held until all have settled. */
  begin(memory: ReadMemory): void {
    memory.holds += 1;
    this.#memory = memory;
  }

  lend(borrower: Borrower): void {
    if (this.#memory === undefined || this.#borrowers.has(borrower)) return;
    this.#borrowers.add(borrower);
    this.#memory.holds += 1;
  }

  /** Safe to call when nothing is lent. */
  settle(): void {
    const [memory, borrowers] = [this.#memory, this.#borrowers];
    if (memory === undefined) return;
    this.#memory = undefined;
    this.#borrowers = new Set();
    for (const borrower of borrowers) if (borrower.settle(() => this.#release(memory))) this.#release(memory);
    this.#release(memory);
  }
}
