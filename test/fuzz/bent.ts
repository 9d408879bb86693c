import fc from 'fast-check';

/** What breaks parsers: quotes, ends of lines, signs of direction, numbers at the edge, bytes that are no text. */
const PIECES = [
  ...[
    '',
    '"',
    "'",
    '\\',
    '\n',
    '\r\n',
    '\0',
    '\u001b[31m',
    '\u202e',
    '\ufeff',
    '\u2028',
    '\t',
    ' ',
    '#',
    '%',
    '$(x)',
    '`x`',
  ],
  ...['-', '--', '*', '?', '!', ',', ':', '::', '[', ']', '[[', '{', '}', '|', '@', '/', '..', '~', '='],
  ...[
    '0',
    '-1',
    '65535',
    '65536',
    '4294967295',
    '99999999999999999999',
    '1e999',
    '0x10',
    '٣',
    'auto',
    'null',
    '__proto__',
  ],
];

const piece = fc.oneof(
  fc.constantFrom(...PIECES),
  fc.string({ maxLength: 12 }),
  fc.string({ maxLength: 6, unit: 'binary' }),
  fc.tuple(fc.constantFrom(...PIECES), fc.nat(3_000)).map(([text, times]) => text.repeat(times)),
);

/** A valid text with up to five places cut out, doubled or replaced; now and then nothing but rubbish. */
export function bent(...seeds: readonly string[]): fc.Arbitrary<string> {
  const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(20), piece);
  const changed = fc.tuple(fc.constantFrom(...seeds), fc.array(change, { maxLength: 5 })).map(([seed, changes]) =>
    changes.reduce((text, [place, cut, more]) => {
      const at = Math.floor(place * text.length);
      return text.slice(0, at) + more + text.slice(at + cut);
    }, seed),
  );
  return fc.oneof({ weight: 6, arbitrary: changed }, { weight: 1, arbitrary: fc.string({ unit: 'binary' }) });
}

/** The same for bytes: bits flipped, lengths made absurd, pieces cut out and put in. */
export function bentBytes(...seeds: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.constantFrom('ffffffff', '00000000', '7fffffff', '80000000', '0d0a', '00').map((hex) => Buffer.from(hex, 'hex')),
  );
  const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(8), bytes);
  const changed = fc.tuple(fc.constantFrom(...seeds), fc.array(change, { maxLength: 5 })).map(([seed, changes]) =>
    changes.reduce((whole, [place, cut, more]) => {
      const at = Math.floor(place * whole.length);
      return Buffer.concat([whole.subarray(0, at), more, whole.subarray(at + cut)]);
    }, Buffer.from(seed)),
  );
  const rubbish = fc.uint8Array({ maxLength: 300 }).map((some) => Buffer.from(some));
  return fc.oneof({ weight: 6, arbitrary: changed }, { weight: 1, arbitrary: rubbish });
}
