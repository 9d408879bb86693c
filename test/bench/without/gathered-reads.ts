/** What each full read of the network has goes out by itself, however many channels share it. */
import { ReadLoans as Real } from '../../../src/ssh/data/read-loans.ts';

export type { Borrower } from '../../../src/ssh/data/read-loans.ts';

export class ReadLoans extends Real {
  override get mayGrow(): boolean {
    return false;
  }
}
