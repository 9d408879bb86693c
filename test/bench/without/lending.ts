/** What came from the network is copied for its client, and each packet has a write of its own. */
import { Splice as Real } from '../../../src/forward/splice/splice.ts';

export { HELD_BACK_BYTES, type SpliceEnding } from '../../../src/forward/splice/splice.ts';

export class Splice extends Real {
  constructor(...parts: ConstructorParameters<typeof Real>) {
    super(...parts);
    Reflect.set(this, 'borrow', undefined); // a sink that has none is given copies
  }
}
