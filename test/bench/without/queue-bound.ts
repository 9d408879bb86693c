/** What is on its way to the server queues without a bound but the channels' windows, as in ssh2. */
import { Uplink as Real } from '../../../src/ssh/data/uplink.ts';

export type { Held } from '../../../src/ssh/data/uplink.ts';

export class Uplink extends Real {
  override get full(): boolean {
    return false;
  }
}
