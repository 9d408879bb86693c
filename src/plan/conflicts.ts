import { formatEndpoint } from '../model/endpoint.ts';
import { bindsOverlap } from '../model/overlap.ts';
import type { ForwardPlan, Plan } from '../model/plan.ts';

/** Two forwards of different plans that want one port, of this machine or of the router. */
export interface BindConflict {
  readonly first: { readonly plan: string; readonly forward: string };
  readonly second: { readonly plan: string; readonly forward: string };
  /** The bind address of the second, as written; or the port of the router, in words. */
  readonly bind: string;
}

/** Every pair of forwards in different plans that want one port; within one plan the profile's parser has looked. */
export function bindConflicts(plans: readonly Pick<Plan, 'name' | 'forwards'>[]): readonly BindConflict[] {
  const all = plans.flatMap((plan) =>
    plan.forwards.filter(listensHere).map((forward) => ({ plan: plan.name, forward })),
  );
  return all.flatMap((second, index) =>
    all
      .slice(0, index)
      .filter((first) => first.plan !== second.plan)
      .flatMap((first) => {
        return shared(first.forward, second.forward).map((bind) => ({
          first: named(first),
          second: named(second),
          bind,
        }));
      }),
  );
}

function shared(first: ForwardPlan, second: ForwardPlan): readonly string[] {
  const { map } = second;
  const mapped = map !== undefined && map.port === first.map?.port && map.protocol === first.map.protocol;
  return [
    ...(bindsOverlap(first.bind, second.bind) ? [formatEndpoint(second.bind)] : []),
    ...(mapped ? [`port ${map.port} (${map.protocol.toUpperCase()}) of the router`] : []),
  ];
}

/** What the server binds is in nobody's way here. */
function listensHere({ kind }: ForwardPlan): boolean {
  return kind !== 'remote' && kind !== 'remote-socks';
}

function named({ plan, forward }: { readonly plan: string; readonly forward: ForwardPlan }): BindConflict['first'] {
  return { plan, forward: forward.name };
}
