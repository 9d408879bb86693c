import { formatEndpoint } from './endpoint.ts';
import type { ForwardPlan } from './plan.ts';

/** Stands in the place of a target where each client names its own. */
export const ANY_TARGET = 'any host';

/** Where a forward leads, for status and messages: several targets stand in their order. */
export function forwardTarget(plan: ForwardPlan): string {
  if ('targets' in plan) return plan.targets.map(formatEndpoint).join(', ');
  return 'target' in plan ? formatEndpoint(plan.target) : ANY_TARGET;
}
