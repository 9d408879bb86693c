import { cleanLine } from '../../model/clean.ts';
import type { ListedMapping, MappingFacts, MapRequest, RouterView } from '../../model/mapping.ts';
import type { Theme } from '../theme.ts';
import { spanText } from './duration.ts';
import { hintLines } from './error.ts';
import { tableLines, type Cell } from './table.ts';

/** The router and its mappings, as `tunnel map` shows them. */
export function routerLines({ router, external, ways, mappings, error }: RouterView, theme: Theme): string[] {
  const speaks = ways.filter(({ answers }) => answers).map(({ way }) => way);
  const trouble = error === null ? [] : [theme.bad(cleanLine(error.message)), ...hintLines(error.hint, '  ')];
  return [
    `Router ${router}, outer address ${external ?? 'not told'}, speaks ${speaks.join(', ')}`,
    ...trouble,
    ...mappingLines(mappings, theme),
  ];
}

function mappingLines(mappings: readonly ListedMapping[] | null, theme: Theme): string[] {
  if (mappings === null) return ['It shows no list of its mappings (UPnP alone has one).'];
  if (mappings.length === 0) return ['It has no mapping.'];
  const head = ['PORT', 'LEADS TO', 'FOR', 'NAMED'].map((text): Cell => ({ text, paint: theme.dim }));
  return tableLines([
    head,
    ...mappings.map(({ protocol, externalPort, internalHost, internalPort, description, leaseSeconds }): Cell[] => [
      { text: `${externalPort} (${protocol.toUpperCase()})` },
      { text: `${internalHost}:${internalPort}` },
      { text: leaseSeconds === null ? 'ever' : spanText(leaseSeconds * 1_000) },
      { text: description },
    ]),
  ]);
}

/** One mapping that is kept, as it is now. */
export function keptLines(
  { protocol, externalPort, internalPort }: MapRequest,
  facts: MappingFacts,
  theme: Theme,
): string[] {
  const { external, error, way, router } = facts;
  const kind = protocol.toUpperCase();
  if (external === null && error === null) return [theme.dim(`port ${externalPort} (${kind})  asking the router`)];
  const told = error === null ? [] : [theme.bad(`  ${cleanLine(error.message)}`), ...hintLines(error.hint, '    ')];
  if (external === null) return [theme.bad(`port ${externalPort} (${kind})  not mapped`), ...told];
  const led = `${external.host}:${external.port} (${kind}) -> port ${internalPort} here  mapped by ${way ?? ''} at ${router ?? ''}`;
  return [error === null ? theme.good(led) : theme.warn(led), ...told];
}
