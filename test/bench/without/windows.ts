/** Receive windows stay at the 2 MiB of ssh2 and OpenSSH. */
import { DataPath as Real, type Levers } from '../../../src/ssh/data-path.ts';

export type { Levers };

export class DataPath extends Real {
  constructor(levers: Partial<Levers> = {}) {
    super({ ...levers, windows: false });
  }
}
