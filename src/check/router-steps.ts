import { TunnelError } from '../model/failure.ts';
import type { ListedMapping, RouterView } from '../model/mapping.ts';
import type { ForwardPlan, MapPlan } from '../model/plan.ts';
import { timed, type CheckStep, type TimedNeeds } from './timed.ts';

export interface RouterNeeds extends TimedNeeds {
  /** What the default gateway says of itself; it is asked for nothing. Rejects with ROUTER_NOT_FOUND. */
  readonly surveyRouter: (signal: AbortSignal) => Promise<RouterView>;
}

type MappedPlan = ForwardPlan & { readonly map: MapPlan };

/**
 * What can be proved of the ports that forwards want of the router: that one is there and speaks of mappings, that the Internet
 * reaches its outer address, and that nobody else has the port. Nothing is asked for, so nothing is left behind.
 */
export async function* proveRouter(
  forwards: readonly ForwardPlan[],
  needs: RouterNeeds,
): AsyncGenerator<CheckStep, void> {
  const wishes = forwards.filter(hasMap);
  if (wishes.length === 0) return;
  let view: RouterView | undefined;
  yield await timed(needs, 'router', 'default gateway', async () => {
    view = await needs.surveyRouter(needs.signal);
    return `${view.router} speaks ${view.ways.flatMap(({ way, answers }) => (answers ? [way] : [])).join(', ')}`;
  });
  if (view === undefined) return;
  const { external, error, mappings } = view;
  yield await timed(needs, 'external', external ?? 'not told', () => {
    return error === null ? Promise.resolve('nothing says that it is not public') : Promise.reject(error);
  });
  if (mappings === null) return; // who has which port, this router tells nobody
  for (const wish of wishes) yield await portStep(wish, mappings, view, needs);
}

function portStep(
  { name, map, bind }: MappedPlan,
  mappings: readonly ListedMapping[],
  { router, local }: RouterView,
  needs: RouterNeeds,
): Promise<CheckStep> {
  const wish = `port ${map.port} (${map.protocol.toUpperCase()})`;
  return timed(needs, 'map', `${name}: ${wish}`, () => {
    const held = mappings.find((one) => one.externalPort === map.port && one.protocol === map.protocol);
    if (held === undefined) return Promise.resolve('free');
    const place = `${held.internalHost}:${held.internalPort}`;
    const ours = bind.kind === 'tcp' && (bind.port === 0 || bind.port === held.internalPort);
    if (held.internalHost === local && ours) return Promise.resolve(`leads here, to ${place}`);
    return Promise.reject(taken(`${wish} of the router ${router}`, place, held.description));
  });
}

function hasMap(forward: ForwardPlan): forward is MappedPlan {
  return forward.map !== undefined;
}

function taken(port: string, place: string, description: string): TunnelError {
  const named = description === '' ? '' : ` ("${description}")`;
  return new TunnelError('ROUTER_REFUSED', `Cannot map ${port}: it leads to ${place} already${named}`, {
    hint: 'Ask for another port in `map`, or end that mapping: `tunnel map` shows them all.',
  });
}
