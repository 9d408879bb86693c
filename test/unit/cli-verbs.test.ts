import { describe, expect, test } from 'vitest';
import { candidates, type Completable } from '../../src/cli/completion/complete.ts';
import { completionScript, SHELLS } from '../../src/cli/completion/completion-scripts.ts';
import { readGlobals } from '../../src/cli/globals.ts';
import { LOADERS } from '../../src/cli/loaders.ts';
import { Options } from '../../src/cli/options.ts';
import { overviewLines, verbLines } from '../../src/cli/render/help.ts';
import { requiredSelection, selection } from '../../src/cli/profiles/selection.ts';
import { PLAIN } from '../../src/cli/theme.ts';
import { GLOBAL_OPTIONS, VERBS } from '../../src/cli/verbs.ts';
import { TunnelError } from '../../src/model/failure.ts';

const SHOWN = VERBS.filter(({ hidden }) => hidden !== true);

function codeOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (thrown) {
    return thrown instanceof TunnelError ? thrown.code : thrown;
  }
}

describe('help', () => {
  const pages = [
    overviewLines(VERBS, GLOBAL_OPTIONS, PLAIN),
    ...SHOWN.map((verb) => verbLines(verb, GLOBAL_OPTIONS, PLAIN)),
  ];

  test('fits a screen of 80 by 24', () => {
    const misfits = pages.filter((lines) => lines.length > 24 || lines.some((line) => line.length > 80));
    expect(misfits.map(([first]) => first)).toEqual([]);
  });

  test('ends with examples, each a line that begins with the command or ends in it', () => {
    const last = pages.map((lines) => lines.at(-1) ?? '');
    expect(last.filter((line) => !line.includes('tunnel '))).toEqual([]);
    expect(pages.filter((lines) => !lines.includes('Examples'))).toEqual([]);
  });

  test('names every verb in the overview', () => {
    const overview = overviewLines(VERBS, GLOBAL_OPTIONS, PLAIN).join('\n');
    expect(SHOWN.filter(({ name, brief }) => !overview.includes(`${name.padEnd(11)}${brief}`))).toEqual([]);
  });

  test('leaves out what is hidden', () => {
    expect(overviewLines(VERBS, GLOBAL_OPTIONS, PLAIN).join('\n')).not.toContain('__complete');
  });
});

describe('the table of verbs', () => {
  test.each(VERBS.map(({ name }) => name))('%s can be loaded', async (name) => {
    expect(await LOADERS[name]?.()).toBeTypeOf('function');
  });

  test('holds every verb that can be loaded', () => {
    expect(Object.keys(LOADERS)).toEqual(VERBS.map(({ name }) => name));
  });

  test('no short option takes a value, so that bundles can be read by their letters', () => {
    const options = [...GLOBAL_OPTIONS, ...VERBS.flatMap((verb) => verb.options)];
    expect(options.filter(({ flags }) => /^-[a-zA-Z],/.test(flags) && flags.includes('<'))).toEqual([]);
  });
});

describe('options that decide how a command speaks', () => {
  const none = { json: false, quiet: false, verbose: false, noColor: false };
  test.each([
    [['status', '--json'], { ...none, json: true }],
    [['-q', 'up', 'a', '--no-color'], { ...none, quiet: true, noColor: true }],
    [['up', '-fv', 'a'], { ...none, verbose: true }],
    [['status', '--', '--json', '-q'], none],
    [['up', 'quiet-v'], none],
  ])('of %j', (argv, expected) => {
    expect(readGlobals(argv)).toEqual(expected);
  });
});

describe('options', () => {
  const options = new Options({ all: true, wait: '2m', drain: '0', since: 'soon' });
  test('are read by their long names', () => {
    expect([options.flag('all'), options.flag('tag'), options.text('wait'), options.text('all')]).toEqual([
      true,
      false,
      '2m',
      undefined,
    ]);
  });
  test('a duration may be 0, and has a fallback', () => {
    const read = [options.durationMs('wait', 1), options.durationMs('drain', 1), options.durationMs('timeout', 1)];
    expect(read).toEqual([120_000, 0, 1]);
  });
  test('what is no duration is a mistake of the command line', () => {
    expect(codeOf(() => options.durationMs('since', 1))).toBe('USAGE');
  });
});

describe('which tunnels are meant', () => {
  test.each([
    [['a', 'b', 'a'], {}, { names: ['a', 'b'] }],
    [[], { tag: 'mail' }, { tag: 'mail' }],
    [[], { all: true as const }, { all: true }],
    [[], {}, undefined],
    [['a'], { all: true as const }, 'USAGE'],
    [[], { all: true as const, tag: 'mail' }, 'USAGE'],
  ])('%j with %j', (names, options, expected) => {
    expect(codeOf(() => selection(names, new Options(options)))).toEqual(expected);
  });

  test('verbs that never guess want a name', () => {
    expect(codeOf(() => requiredSelection('down', [], new Options({})))).toBe('USAGE');
  });
});

describe('completion', () => {
  const from: Completable = {
    verbs: VERBS,
    globalOptions: GLOBAL_OPTIONS,
    profiles: () => ['db', 'pop-mail', 'pop-work'].map((word) => ({ word, about: '' })),
    tags: () => Promise.resolve([{ word: 'mail', about: '' }]),
  };
  async function words(...line: string[]): Promise<string[]> {
    return (await candidates(line, from)).map(({ word }) => word);
  }

  const rows: readonly (readonly [readonly string[], readonly string[]])[] = [
    [['sta'], ['status']],
    [
      ['up', 'pop'],
      ['pop-mail', 'pop-work'],
    ],
    [
      ['up', 'pop-mail', ''],
      ['db', 'pop-work'],
    ],
    [
      ['up', '--wait', '3s', ''],
      ['db', 'pop-mail', 'pop-work'],
    ],
    [['--json', 'up', 'd'], ['db']],
    [['port', 'db', ''], []],
    [['up', '--tag', ''], ['mail']],
    [['up', '--fore'], ['--foreground']],
    [['status', '--j'], ['--json']],
    [
      ['wait', '--state', ''],
      ['up', 'down'],
    ],
    [
      ['map', '--by', ''],
      ['pcp', 'nat-pmp', 'upnp'],
    ],
    [
      ['daemon', 'st'],
      ['status', 'stop'],
    ],
    [['help', 'rel'], ['reload']],
    [['nonsense', ''], []],
  ];
  test.each(rows)('of %j', async (line, expected) => {
    expect(await words(...line)).toEqual(expected);
  });

  test('of nothing is every verb', async () => {
    expect(await words('')).toEqual(SHOWN.map(({ name }) => name));
  });

  test.each(SHELLS)('the script for %s asks the command itself', (shell) => {
    expect(completionScript(shell)).toContain('tunnel __complete -- ');
  });
});
