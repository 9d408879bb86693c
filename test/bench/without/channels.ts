/** Forwarded connections are ssh2's own streams. */
import { DataPath as Real, type Levers } from '../../../src/ssh/data-path.ts';

export type { Levers };

export class DataPath extends Real {
  constructor(levers: Partial<Levers> = {}) {
    super({ ...levers, channels: false });
  }
}
