import { isDeepStrictEqual } from 'node:util';
import { formatEndpoint } from '../model/endpoint.ts';
import type { ForwardPlan } from '../model/plan.ts';
import type { Forward, ForwardContext } from './forward-context.ts';
import { ListeningForward } from './listening-forward.ts';
import { fixedTarget } from './route.ts';

/**
 * The table of kinds: who hands the connections over, how a target is agreed, who reaches it. Nothing is bound before
 * `start`. @throws RangeError for an `allow` that is no list of addresses (the plan has checked it)
 */
export function createForward(plan: ForwardPlan, context: ForwardContext): Forward {
  switch (plan.kind) {
    case 'local': {
      const { carrier } = context;
      return new ListeningForward(
        plan,
        {
          label: formatEndpoint(plan.target),
          negotiate: fixedTarget(plan.target),
          dial: (target, originator, signal) => carrier.open(target, originator, signal),
        },
        context,
      );
    }
  }
}

/** Whether a running forward is already what the other plan wants, so that a reload need not touch its listener. */
export function sameForward(running: ForwardPlan, wanted: ForwardPlan): boolean {
  return isDeepStrictEqual(running, wanted);
}
