/** The network is read as Node does it: 64 KiB at a time, each read in memory of its own. */
import { DataPath as Real, type Levers } from '../../../src/ssh/data-path.ts';

export type { Levers };

export class DataPath extends Real {
  constructor(levers: Partial<Levers> = {}) {
    super({ ...levers, reads: false });
  }
}
