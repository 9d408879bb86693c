import type { OptionSpec, VerbSpec } from '../verbs.ts';
import type { Theme } from '../theme.ts';
import { tableLines } from './table.ts';

/** The overview: every verb in two columns, so that it fits a screen of 80 by 24, and how to begin. */
export function overviewLines(verbs: readonly VerbSpec[], options: readonly OptionSpec[], theme: Theme): string[] {
  const shown = verbs.filter(({ hidden }) => hidden !== true);
  const groups = [...new Set(shown.map(({ group }) => group))];
  return [
    'SSH tunnels that stay up: a profile says where localhost leads, for good.',
    `Usage: tunnel VERB [NAME…] [options]      ${theme.dim('tunnel help VERB explains one')}`,
    ...groups.flatMap((group) => [theme.strong(group), ...twoColumns(shown.filter((verb) => verb.group === group))]),
    `${theme.strong('Options')}  ${options.map(({ flags }) => flags).join('   ')}`,
    theme.strong('Examples'),
    ...exampleLines(
      [
        ['tunnel demo', 'see it work, offline'],
        ['tunnel new', 'write a profile for your server'],
        ['tunnel up pop-mail', 'and point the mail client at localhost'],
      ],
      theme,
    ),
  ];
}

/** Read down, then over: the left column holds the first half. */
function twoColumns(verbs: readonly VerbSpec[]): string[] {
  const half = Math.ceil(verbs.length / 2);
  const cell = ({ name, brief }: VerbSpec): string => `  ${name.padEnd(11)}${brief}`;
  return verbs.slice(0, half).map((left, row) => {
    const right = verbs[half + row];
    return right === undefined ? cell(left) : `${cell(left).padEnd(40)}${cell(right)}`;
  });
}

/** `tunnel help VERB`: usage, what it does, its options, examples. */
export function verbLines(verb: VerbSpec, options: readonly OptionSpec[], theme: Theme): string[] {
  const list = (title: string, specs: readonly OptionSpec[]): string[] =>
    specs.length === 0 ? [] : ['', theme.strong(title), ...optionLines(specs)];
  return [
    ['Usage: tunnel', verb.name, ...verb.args, '[options]'].join(' '),
    '',
    ...wrapped(verb.about),
    ...list('Options', verb.options),
    '',
    theme.strong('Options of every verb'),
    `  ${options.map(({ flags }) => flags).join('   ')}`,
    '',
    theme.strong('Examples'),
    ...exampleLines(verb.examples, theme),
  ];
}

function optionLines(specs: readonly OptionSpec[]): string[] {
  return tableLines(
    specs.map(({ flags, help }) => [
      { text: flags.startsWith('--') ? `      ${flags}` : `  ${flags}` },
      { text: help },
    ]),
  );
}

/** A line that explains itself stands outside the columns, which it would only widen. */
function exampleLines(examples: VerbSpec['examples'], theme: Theme): string[] {
  return tableLines(
    examples.map(([line, does]) =>
      does === '' ? `  ${line}` : [{ text: `  ${line}` }, { text: does, paint: theme.dim }],
    ),
  );
}

/** Lines of at most 80 characters. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > 80) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
