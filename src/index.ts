// The library face: what programs that embed `tunnel` may rely on. docs/library.md explains it; the rest is internal.
export { compose, type ComposeOptions } from './compose.ts';
export { planOfProfile, type PlanOptions } from './compose-plan.ts';
export type { Endpoint } from './model/endpoint.ts';
export { TunnelError, type FailureCode, type FailureFacts, type Problem } from './model/failure.ts';
export type { ForwardSpec } from './model/forward-spec.ts';
export type { ForwardPlan, HopPlan, Plan } from './model/plan.ts';
export type { HopSpec, Profile } from './model/profile.ts';
export type { Caller, OpenQuestion, Selection, UpTunnel } from './model/request.ts';
export type {
  ConnectionRecord,
  ErrorStatus,
  ForwardState,
  ForwardStatus,
  Health,
  StatusEvent,
  StatusSnapshot,
  SupervisorStatus,
  TunnelState,
  TunnelStatus,
} from './model/status.ts';
export type { SupervisorDeps } from './supervisor/deps.ts';
export type { Attendant, Questions } from './supervisor/questions.ts';
export { TunnelSupervisor } from './supervisor/supervisor.ts';
