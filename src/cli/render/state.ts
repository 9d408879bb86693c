import { cleanLine } from '../../model/clean.ts';
import { exposureText } from '../../model/exposure.ts';
import type { ForwardStatus, TunnelState, TunnelStatus } from '../../model/status.ts';
import type { Paint, Theme } from '../theme.ts';
import { mapCells } from './mapping.ts';
import type { Cell } from './table.ts';
import { tableLines } from './table.ts';

/** A state's colour: green works, yellow is on its way or wants somebody, red has ended badly. */
export function statePaint(state: TunnelState, theme: Theme): Paint {
  switch (state) {
    case 'up':
      return theme.good;
    case 'connecting':
    case 'retrying':
    case 'waiting':
      return theme.warn;
    case 'failed':
      return theme.bad;
    case 'idle':
    case 'stopping':
    case 'stopped':
      return theme.dim;
  }
}

/** Where a forward leads: `localhost:113 -> pop.example.org:113`. */
export function routeText({ bind, target }: Pick<ForwardStatus, 'bind' | 'target'>): string {
  return `${cleanLine(bind)} -> ${cleanLine(target)}`;
}

/** A line a forward, as `up` prints them: `pop-mail  localhost:113 -> pop.example.org:113  up`; its kind where it is not local. */
export function forwardLines(tunnels: readonly TunnelStatus[], theme: Theme): string[] {
  return tableLines(
    tunnels.flatMap(({ name, state, forwards }): (readonly Cell[])[] =>
      forwards.length === 0
        ? [[{ text: cleanLine(name) }, { text: '' }, { text: state, paint: statePaint(state, theme) }]]
        : forwards.map((forward) => {
            const shown = shownState(state, forward);
            const paint = statePaint(shown, theme);
            const kind = forward.kind === 'local' ? [] : [{ text: cleanLine(forward.kind), paint: theme.dim }];
            return [
              { text: cleanLine(name) },
              { text: routeText(forward) },
              { text: shown, paint },
              ...kind,
              ...doorCells(forward, theme),
              ...mapCells(forward, theme),
            ];
          }),
    ),
  );
}

/** A door that stands open to others is not to be overlooked. */
function doorCells({ gateway, returnPorts = [] }: ForwardStatus, theme: Theme): Cell[] {
  const own = gateway === undefined ? [] : [exposureText(gateway)];
  const returns = returnPorts.map((port) => `${port.bind} ${exposureText(port.gateway)}`);
  return [...own, ...returns].map((text) => ({ text: cleanLine(text), paint: theme.warn }));
}

/** A forward that waits with its tunnel says what the tunnel waits for. */
function shownState(state: TunnelState, forward: ForwardStatus): TunnelState {
  return state === 'waiting' && (forward.state === 'connecting' || forward.state === 'retrying')
    ? state
    : forward.state;
}
