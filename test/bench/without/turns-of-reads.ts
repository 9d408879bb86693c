/** After a full read of the network libuv goes on at once, up to 32 times. */
import { ReadPace as Real, type Pace, type ReadFacts } from '../../../src/ssh/data/read-pace.ts';

export { FULL_PACKET_BYTES } from '../../../src/ssh/data/read-pace.ts';
export type { Pace, ReadFacts };

export class ReadPace extends Real {
  override after(facts: ReadFacts, nowMs: number): Pace {
    const pace = super.after(facts, nowMs);
    return pace === 'next turn' ? 'at once' : pace;
  }
}
