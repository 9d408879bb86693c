import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseProfile } from '../../src/profile/parse.ts';

/** A profile with one of everything, to be bent. */
const SEED = `description: "POP3"
tags: [mail]
via:
  - bastion
  - host: pop.example.org
    port: 22
    hostKey: { fingerprint: SHA256:abc }
forwards:
  - localhost:113 -> pop.example.org:113
  - local: 1143
    to: imap:143
    allow: [127.0.0.0/8]
    map: { port: 80 }
  - trigger: 1
    opens: [ { remote: 1, to: client:1 } ]
whileDown: { hold: 15s }
secrets: { password: { command: [a] } }
hooks: { up: [a, b] }
`;

/** Reads it, and proves what every answer promises: places within the text and messages of one clean line. */
function problemsOf(text: string): readonly string[] {
  const parsed = parseProfile(text, 'x.yaml');
  if (parsed.ok) return [];
  for (const { line, column, message } of parsed.problems) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(message).toMatch(/^[^\0-\x1f\x7f-\x9f]{1,1500}$/);
    expect(message).not.toMatch(/Error:|at .*\.(?:ts|js):\d|Invalid input/);
  }
  return parsed.problems.map(({ message }) => message);
}

const nested = (sign: string, depth: number) => sign.repeat(depth);
const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
  .concat(Array.from({ length: 20 }, (_, n) => `a${n + 1}: &a${n + 1} [${Array(9).fill(`*a${n}`).join(', ')}]`))
  .join('\n');
const stairs = (step: string, depth: number) =>
  Array.from({ length: depth }, (_, n) => ' '.repeat(n) + step).join('\n');

describe('a hostile file gives a clean problem, soon', () => {
  test.each([
    ['an alias bomb', bomb, /no profile/],
    ['an alias of itself', 'a: &a [*a]\n', /nests deeper|alias/],
    ['an alias of nothing', 'via: *nobody\n', /alias/],
    ['10 MB of text', 'x'.repeat(10 * 1024 * 1024), /larger than 1 MiB/],
    ['a NUL', 'via: pop\0\n', /control character/],
    ['an escape sequence', 'via: \u001b[31m\n', /control character/],
    ['UTF-16 read as text', '\ufffd\ufffdv\0i\0a\0', /control character/],
    ['a tab as indent', 'via:\n\thost: pop\n', /indented by a tab/],
    ['deep lists in flow', nested('[', 100_000), /nests deeper/],
    ['deep maps in flow', nested('{"a":', 100_000), /nests deeper/],
    ['deep lists in block', nested('- ', 100_000), /nests deeper/],
    ['deep questions', nested('? ', 100_000), /nests deeper/],
    ['a stair of lists', stairs('-', 900), /nests deeper/],
    ['a stair of maps', stairs('a:', 900), /nests deeper/],
    ['a megabyte of brackets', nested('[]', 500_000), /no profile/],
    ['a megabyte of quotes', nested('"\n', 500_000), /no profile/],
    ['a megabyte of lines', nested('a: 1\n', 200_000), /no profile/],
    ['a binary tag', 'via: !!binary aGVsbG8=\n', /tags/],
    ['a tag of a language', 'via: !!js/function "x"\n', /tags/],
    ['a tag that YAML knows', 'via: !!str pop\n', /tags/],
    ['two documents', 'via: pop\n---\nvia: pop\n', /one YAML document/],
    ['a directive', '%TAG ! tag:x\n---\nvia: pop\n', /./],
    ['a merge key', 'x: &x { port: 22 }\nvia: { <<: *x, host: pop }\n', /merge keys/],
    ['a field of the prototype', '__proto__: { forwards: [] }\n', /unknown field `__proto__`/],
    ['the constructor', 'constructor: 1\n', /unknown field `constructor`/],
    ['a field twice', 'via: a\nvia: b\n', /`via` is there twice/],
    ['a name that is no text', '? [a]\n: 1\n', /name in plain text/],
    ['a list', '- a\n', /fields of its own/],
    ['one word', 'pop', /fields of its own/],
    ['nothing', '', /empty/],
    ['only a comment', '# pop\n', /empty/],
  ])('%s', (_, text, message) => {
    const problems = problemsOf(text);

    expect(problems.join('\n')).toMatch(message);
  });
});

/** Hundreds of texts are read: seconds on a busy machine. */
const MANY = { timeout: 60_000 };

test('a field of the prototype reaches no object', () => {
  problemsOf('__proto__: { polluted: true }\nvia: { __proto__: { polluted: true }, host: a }\n');

  expect(Reflect.get({}, 'polluted')).toBeUndefined();
});

test('a byte order mark and Windows line ends are no mistake', () => {
  expect(problemsOf('\ufeffvia: pop\r\nforwards:\r\n  - 1:a:1\r\n')).toEqual([]);
});

test('whatever the text, the answer is a profile or clean problems', MANY, () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'binary' }), (text) => {
      problemsOf(text);
    }),
    { numRuns: 300 },
  );
});

test('a profile with a piece replaced by anything gives a profile or clean problems', MANY, () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom(
      '[',
      ']',
      '{',
      '}',
      ': ',
      '- ',
      '&a ',
      '*a',
      '!!str ',
      '|\n',
      '>\n',
      "'",
      '"',
      '\t',
      '\n',
      '#',
      '~',
      '<<: ',
      '---\n',
      '-1',
      '1e999',
      '.nan',
    ),
  );
  const bent = fc
    .tuple(fc.nat(SEED.length), fc.nat(20), piece)
    .map(([at, cut, text]) => SEED.slice(0, at) + text + SEED.slice(at + cut));

  fc.assert(
    fc.property(bent, (text) => {
      problemsOf(text);
    }),
    { numRuns: 600 },
  );
});

test('any value under any field gives a profile or clean problems', MANY, () => {
  const fields = [
    'via',
    'forwards',
    'sshConfig',
    'keepalive',
    'whileDown',
    'secrets',
    'hooks',
    'after',
    'tags',
    'limits',
    'connections',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...fields), fc.jsonValue({ maxDepth: 4 }), (name, value) => {
      problemsOf(JSON.stringify({ [name]: value }));
    }),
    { numRuns: 600 },
  );
});
