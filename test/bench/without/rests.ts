/** A fast connection is read whenever something has come. */
import { ReadPace as Real, type Pace, type ReadFacts } from '../../../src/ssh/data/read-pace.ts';

export { FULL_PACKET_BYTES } from '../../../src/ssh/data/read-pace.ts';
export type { Pace, ReadFacts };

export class ReadPace extends Real {
  override after(facts: ReadFacts, nowMs: number): Pace {
    const pace = super.after(facts, nowMs);
    return pace === 'rested' ? 'at once' : pace;
  }
}
