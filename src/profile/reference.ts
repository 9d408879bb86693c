import { allFields, forwardHelp, hopHelp, type FieldHelp } from './field-help.ts';
import { KINDS } from './schema-forward.ts';

/** The reference page of profiles, in Markdown. */
export function profileReference(): string {
  const top = allFields().filter(({ path }) => !/^(?:via|forwards)\./.test(path));
  const kinds = KINDS.flatMap((kind) => [`### \`${kind}\``, '', ...table(own(kind), 'forwards.'), '']);
  return [
    '# Profile reference',
    '',
    'Generated from the schema by `npm run docs`. A profile is one YAML 1.2 file; its name is the name of the tunnel.',
    'Unknown fields are errors. Where a field is absent, ssh_config decides, else the default. Durations are a number and',
    'a unit (`500ms`, `15s`, `10m`, `2h`).',
    '',
    '## The profile',
    '',
    ...table(top, ''),
    '',
    '## An entry of `via`',
    '',
    'A text (`user@host:port`, or an alias of ssh_config) or an object:',
    '',
    ...table(hopHelp(), 'via.'),
    '',
    '## An entry of `forwards`',
    '',
    'A text is a local forward: `localhost:113 -> pop.example.org:113`, or as for `ssh -L`: `113:pop.example.org:113`.',
    "A text that begins with `[` or `*` needs quotes: `'[::1]:113 -> pop.example.org:113'`.",
    'An object is of the kind that its first field names.',
    '',
    ...kinds,
    '### In every kind',
    '',
    ...table(shared(), 'forwards.'),
    '',
  ].join('\n');
}

/** Fields that only this kind has, or that mean something of their own in it. */
function own(kind: (typeof KINDS)[number]): FieldHelp[] {
  const everywhere = new Set(shared().map(({ path }) => path));
  return forwardHelp(kind).filter(({ path }) => !everywhere.has(path));
}

function shared(): FieldHelp[] {
  return forwardHelp('local').filter(({ path }) =>
    KINDS.every((kind) => forwardHelp(kind).some((field) => field.path === path)),
  );
}

function table(rows: readonly FieldHelp[], prefix: string): string[] {
  const lines = rows.map((row) => {
    const unit = row.unit === undefined ? '' : ` (${row.unit})`;
    const cells = [
      `\`${row.path.slice(prefix.length)}\``,
      `${row.type}${unit}`,
      row.default,
      row.help,
      row.example ?? '',
    ];
    return `| ${cells.map(cell).join(' | ')} |`;
  });
  return ['| field | type | default | what it does | example |', '| --- | --- | --- | --- | --- |', ...lines];
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
