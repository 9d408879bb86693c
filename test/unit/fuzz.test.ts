import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PARSERS } from '../fuzz/parsers.ts';

// The short form; `npm run fuzz` goes on for as long as it is let.
test.each(PARSERS.map((parser) => [parser.name, parser] as const))(
  'whatever others write, reading a %s ends as it says',
  { timeout: 30_000 },
  async (_, { property }) => {
    const { failed, counterexample, errorInstance } = await fc.check(property, { numRuns: 150 });
    expect({ failed, counterexample, errorInstance }).toEqual({
      failed: false,
      counterexample: null,
      errorInstance: null,
    });
  },
);
