/** Clients are read as Node does it: 64 KiB at a time, each read in memory of its own. */
import type { readWide as real } from '../../../src/forward/splice/wide-reads.ts';

export { wideReadsAreKnown } from '../../../src/forward/splice/wide-reads.ts';

export const readWide: typeof real = () => false;
