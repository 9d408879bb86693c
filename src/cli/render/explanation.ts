import { cleanLine } from '../../model/clean.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import type { Plan } from '../../model/plan.ts';
import type { Theme } from '../theme.ts';
import { spanText } from './duration.ts';
import type { ExplainedSource, ExplainedValue } from './explained-values.ts';
import { tableLines, type Cell } from './table.ts';

/** The table of `tunnel explain`: a block for each hop and forward, then the rest; defaults are dim. */
export function explanationLines(plan: Plan, values: readonly ExplainedValue[], theme: Theme): string[] {
  const rows: (readonly Cell[] | string)[] = [theme.strong(`${plan.name}  ${plan.file}`)];
  let block = '';
  for (const value of values) {
    const [, head = '', name = value.path] = /^((?:hops|forwards)\[\d+\])\.(.*)$/.exec(value.path) ?? [];
    if (head !== block) rows.push('', theme.strong(title(head, plan)));
    block = head;
    if (name !== 'label') rows.push(...valueRows(name, value, theme));
  }
  return tableLines(rows);
}

function title(head: string, plan: Plan): string {
  const index = Number(/\d+/.exec(head)?.[0] ?? 0);
  if (head.startsWith('forwards')) return `forward ${index + 1}`;
  const role = index === plan.hops.length - 1 ? 'server' : `jump host ${index + 1}`;
  return head === '' ? 'tunnel' : `${role}: ${cleanLine(plan.hops[index]?.label ?? '')}`;
}

/** A list has a line for each entry: paths are long, and nothing is cut. */
function valueRows(name: string, { value, source }: ExplainedValue, theme: Theme): Cell[][] {
  const paint = source.kind === 'default' ? { paint: theme.dim } : {};
  const [first = 'none', ...others] = Array.isArray(value)
    ? value.map((entry) => valueText('', entry))
    : [valueText(name, value)];
  const cells = (...texts: readonly string[]): Cell[] => texts.map((text) => ({ text, ...paint }));
  return [
    cells(`  ${name.replace(/Ms$/, '')}`, cleanLine(first, 200), sourceText(source)),
    ...others.map((text) => cells('', cleanLine(text, 200))),
  ];
}

function sourceText(source: ExplainedSource): string {
  switch (source.kind) {
    case 'profile':
      return `profile, line ${source.line}`;
    case 'ssh_config':
      return `${source.file === null ? 'ssh_config' : `${source.file}:${source.line}`} ${source.option} (read by ${
        source.reader === 'library' ? 'tunnel' : source.reader
      })`;
    case 'default':
      return 'default';
  }
}

function valueText(name: string, value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return name.endsWith('Ms') ? spanText(value) : String(value);
  if (Array.isArray(value)) return value.map((one) => valueText('', one)).join(', ');
  if (typeof value === 'object') return objectText(value);
  if (typeof value !== 'string') return '';
  return name === 'agent' && value === 'environment' ? 'SSH_AUTH_SOCK' : value;
}

/** Endpoints as they are written, an identity by its file, what has a kind by that and what it holds. */
function objectText(value: object): string {
  if (isEndpoint(value)) return formatEndpoint(value);
  if ('file' in value) return valueText('', value.file);
  const { kind, ...rest }: { kind?: unknown } = value;
  const parts: readonly unknown[] = Object.values(rest);
  return (kind === undefined ? parts : [kind, ...parts]).map((part) => valueText('', part)).join(' ');
}

function isEndpoint(value: object): value is Endpoint {
  if (!('kind' in value)) return false;
  return value.kind === 'unix' ? 'path' in value : value.kind === 'tcp' && 'host' in value;
}
