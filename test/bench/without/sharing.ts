/** An upload has all of its window under way, whoever speaks in between. */
import { DataPath as Real, type Levers } from '../../../src/ssh/data-path.ts';

export type { Levers };

export class DataPath extends Real {
  constructor(levers: Partial<Levers> = {}) {
    super({ ...levers, sharing: false });
  }
}
