import { cleanLine } from '../../model/clean.ts';
import type { ForwardStatus, MapStatus } from '../../model/status.ts';
import type { Theme } from '../theme.ts';
import { hintLines } from './error.ts';
import type { Cell } from './table.ts';

/** Whether strangers cannot come in although the profile wants them to. */
export function mapFails({ map }: Pick<ForwardStatus, 'map'>): boolean {
  return map?.state === 'failed' || map?.state === 'double-nat';
}

/** The port of the router beside a forward, as `up` prints it. */
export function mapCells({ map }: ForwardStatus, theme: Theme): Cell[] {
  if (map === undefined) return [];
  switch (map.state) {
    case 'mapped':
      return [{ text: `mapped: ${external(map)}`, paint: theme.good }];
    case 'double-nat':
      return [{ text: `mapped in vain: ${external(map)}`, paint: theme.bad }];
    case 'asking':
      return [{ text: `asks the router for ${wish(map)}`, paint: theme.warn }];
    case 'failed':
      return [{ text: `not mapped: ${wish(map)}`, paint: theme.bad }];
  }
}

/** What the router does for a forward, or why not and what to do about it. */
export function mapLines({ bind, map }: ForwardStatus, theme: Theme): string[] {
  if (map === undefined) return [];
  const { lastError, way, router } = map;
  const led = `  ${external(map)} of the router ${cleanLine(router ?? '')} leads to ${cleanLine(bind)}, by ${cleanLine(way ?? '')}`;
  if (map.state === 'mapped') return [theme.good(led)];
  if (lastError === null) return [theme.warn(`  Asking the router for ${wish(map)}`)];
  return [theme.bad(`  ${cleanLine(lastError.message)}`), ...hintLines(lastError.hint, '    ')];
}

function external({ external: granted, protocol }: MapStatus): string {
  return `${cleanLine(granted ?? '')} (${protocol.toUpperCase()})`;
}

function wish({ port, protocol }: MapStatus): string {
  return `port ${port} (${protocol.toUpperCase()})`;
}
