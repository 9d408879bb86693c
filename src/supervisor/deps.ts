import type { Ask } from '../link/ask.ts';
import type { ManagedCarrier } from '../link/carrier.ts';
import type { Clock } from '../model/clock.ts';
import type { FailureCode, TunnelError } from '../model/failure.ts';
import type { SupervisorMemory } from '../model/memory.ts';
import type { ForwardPlan, Plan } from '../model/plan.ts';
import type { Caller } from '../model/request.ts';
import type { ConnectionRecord, ForwardKind, Health, StatusEvent } from '../model/status.ts';

/** All that a supervisor needs from outside; `compose` fills it with the real parts. */
export interface SupervisorDeps {
  /** Of the program, for `status`. */
  readonly version: string;
  readonly clock: Clock;
  /** Reads and resolves one profile. Rejects with PROFILE_NOT_FOUND, PROFILE_INVALID (with its problems), PROFILE_UNTRUSTED. */
  resolve(nameOrPath: string, caller: Pick<Caller, 'cwd'>): Promise<Plan>;
  /** Names of the profiles that the caller sees, in order; with a tag only those that have it. */
  listNames(tag: string | undefined, caller: Pick<Caller, 'cwd'>): Promise<readonly string[]>;
  /** Throws PROFILE_CONFLICT where two of these plans cannot run side by side. */
  refuseConflicts(plans: readonly Plan[]): void;
  makeCarrier(plan: Plan, needs: CarrierNeeds): ManagedCarrier;
  makeForward(plan: ForwardPlan, context: ForwardContext): ManagedForward;
  /** Whether a running forward can stay as it is under the other plan. */
  sameForward(one: ForwardPlan, other: ForwardPlan): boolean;
  readonly store: StateStore;
  /** Keeps the events on disk; null keeps none. The supervisor closes it. */
  readonly log: EventSink | null;
  /** SSH_AUTH_SOCK of this process: what counts before the first caller. */
  readonly authSock: string | undefined;
  /** The addresses that this machine has now, in one text: a change of it is a change of the network. */
  networkNow(): string;
}

export interface CarrierNeeds {
  readonly ask: Ask;
  readonly agentSocket: () => string | undefined;
  readonly onNote: (message: string) => void;
  /** Resolves once every tunnel is up that the profile names in `after`: no dial begins before. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
}

/** One forward as its tunnel sees it. */
export interface ManagedForward {
  readonly facts: ForwardFacts;
  /** Binds, and goes on trying where it cannot yet. */
  start(): Promise<void>;
  /** Closes the listener at once; open connections have until `drainMs` to end by themselves. Safe to call again, with less time too. */
  close(drainMs: number): Promise<void>;
}

export interface ForwardFacts {
  readonly name: string;
  readonly kind: ForwardKind;
  readonly bind: string;
  readonly target: string;
  readonly listening: boolean;
  /** Why it does not listen. */
  readonly error: TunnelError | null;
  readonly health: Health | null;
  readonly openConnections: number;
  readonly totalConnections: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ForwardContext {
  readonly carrier: ManagedCarrier;
  readonly clock: Clock;
  readonly limits: Plan['limits'];
  readonly whileDown: Plan['whileDown'];
  readonly probe: Plan['probe'];
  /** Tried first where the plan leaves the port open. */
  readonly preferredPort?: number;
  readonly onBound: (port: number) => void;
  readonly onChange: () => void;
  readonly onConnection: (record: ConnectionRecord) => void;
  readonly onNote: (level: NoteLevel, message: string, code?: FailureCode, repeated?: number) => void;
}

export type NoteLevel = Extract<StatusEvent, { event: 'note' }>['level'];

/** Where the supervisor's memory lives. */
export interface StateStore {
  /** Never rejects over a file that is missing or damaged: `problem` then says what became of it. */
  load(): Promise<{ readonly memory: SupervisorMemory; readonly problem?: string }>;
  /** Rejects with FILE. Calls come one at a time. */
  save(memory: SupervisorMemory): Promise<void>;
}

export interface EventSink {
  write(event: StatusEvent): void;
  /** Calls back with a sentence when it cannot keep events: once for each reason. */
  onProblem(callback: (message: string) => void): void;
  close(): Promise<void>;
}
