import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readCommandLine } from '../../src/cli/command-line.ts';
import { readPlain } from '../../src/cli/request.ts';
import { GLOBAL_OPTIONS, VERBS } from '../../src/cli/verbs.ts';
import { TunnelError } from '../../src/model/failure.ts';

/** Words of which most lines are made, the odd ones among them. */
const WORDS = [
  ...VERBS.map(({ name }) => name).filter((name) => name !== 'ssh'),
  ...GLOBAL_OPTIONS.flatMap(({ flags }) => flags.split(', ')),
  ...[
    'pop-mail',
    'bash',
    'a',
    '',
    '-',
    '--',
    '-qv',
    '-f',
    '--watch',
    '--nonsense',
    '--version',
    '-V',
    '--tag',
    '--all',
  ],
];

function parsed(line: readonly string[]): unknown {
  try {
    return readCommandLine(line);
  } catch (thrown) {
    if (thrown instanceof TunnelError) return thrown.code;
    throw thrown;
  }
}

test('a plain command line means what the parser makes of it', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...WORDS), { maxLength: 5 }), (line) => {
      const plain = readPlain(line);
      if (plain !== undefined) expect(parsed(line)).toEqual(plain);
    }),
    { numRuns: 1_500 },
  );
});

test.each([
  [['status'], 'verb'],
  [['--json', 'status', 'pop-mail', '-q'], 'verb'],
  [['list', '--json'], 'verb'],
  [['__complete', '--', 'up', '-'], 'verb'],
  [[], 'help'],
  [['--help'], 'help'],
  [['status', '-h'], 'help'],
  [['ssh', '--help'], 'help'],
  [['ssh', '-N', '--', '-h'], 'verb'],
  [['--version'], 'version'],
] as const)('%j needs no parser', (line, asks) => {
  expect(readPlain(line)?.asks).toBe(asks);
});

test.each([
  [['status', '--watch']],
  [['list', 'too', 'many']],
  [['port']],
  [['statsu']],
  [['status', '-qv']],
  [['--', 'status']],
] as const)('%j is left to the parser', (line) => {
  expect(readPlain(line)).toBeUndefined();
});
