/** A mistake that shows only when a profile is resolved, at the field of the profile that leads to it. */
export interface PlanProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}
