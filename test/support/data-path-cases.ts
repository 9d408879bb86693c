import fc from 'fast-check';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { CIPHERS, cuts, type Sealed } from '../data-path/property.ts';
import { DataPathStage, type Setting } from '../data-path/stage.ts';
import { visits } from '../data-path/visit.ts';

const PLAIN = { hops: 1, compression: false, levers: {}, rekeyBytes: null, cuts: [] };

/**
 * Random visits through forwards and a real sshd that exchanges keys after each megabyte: every byte arrives in its place, and all of
 * them where nobody cut the connection. The short form of `npm run data-path`.
 */
export function dataPathCases(sealings: readonly Sealed[] = CIPHERS): void {
  let stage: DataPathStage;
  beforeAll(async () => {
    stage = await DataPathStage.start();
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  describe.each(sealings)('with $cipher, $mac', (sealed) => {
    test.each<[string, Omit<Setting, 'cipher' | 'mac'>]>([
      ['while both sides exchange keys', { ...PLAIN, rekeyBytes: 700_000 }],
      ['through two hops, compressed', { ...PLAIN, hops: 2, compression: true }],
      [
        'with every lever off',
        { ...PLAIN, levers: { slab: false, windows: false, reads: false, channels: false, sharing: false } },
      ],
    ])('what both ends send arrives whole %s', { timeout: 60_000 }, async (_name, setting) => {
      await using run = await stage.connect({ ...sealed, ...setting });
      await fc.assert(
        fc.asyncProperty(visits(300_000), (round) => run.play(round)),
        { numRuns: 3 },
      );
    });

    test(
      'what both ends send arrives whole where reads end within packets and their MACs',
      { timeout: 60_000 },
      async () => {
        const places = fc.tuple(cuts, visits(1_000_000));
        await fc.assert(
          fc.asyncProperty(places, async ([at, round]) => {
            await using run = await stage.connect({ ...sealed, ...PLAIN, cuts: [...at, -1] });
            await run.play(round);
          }),
          { numRuns: 2 },
        );
      },
    );
  });
}
