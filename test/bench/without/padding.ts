/** Padding that is asked of the generator for each packet. */
import { randomFillSync } from 'node:crypto';
import type { pad as real } from '../../../src/ssh/data/padding.ts';

export const pad: typeof real = (packet, at, bytes) => void randomFillSync(packet, at, bytes);
