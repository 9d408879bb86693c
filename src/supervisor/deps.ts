import type { Forward, ForwardContext } from '../forward/forward-context.ts';
import type { ListeningSockets } from '../forward/listen/listening-sockets.ts';
import type { Ask } from '../link/ask.ts';
import type { ManagedCarrier } from '../link/carrier.ts';
import type { Clock } from '../model/clock.ts';
import type { Estate, Unlocked } from '../model/handover.ts';
import type { SupervisorMemory } from '../model/memory.ts';
import type { ForwardPlan, Plan, SecretSource } from '../model/plan.ts';
import type { Caller } from '../model/request.ts';
import type { Secret } from '../model/secret.ts';
import type { StatusEvent } from '../model/status.ts';

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
  makeForward(plan: ForwardPlan, context: ForwardContext): Forward;
  /** Whether a running forward can stay as it is under the other plan. */
  sameForward(one: ForwardPlan, other: ForwardPlan): boolean;
  /** The password kept under this name, such as `alice@web/localhost:1080`; undefined where there is none. Asks nobody. Rejects with SECRET_STORE. */
  readPassword(subject: string, source: SecretSource): Promise<Secret | undefined>;
  /** What a supervisor may leave to the next one: the parts of it that are not tunnels. */
  readonly estate: EstateParts;
  readonly store: StateStore;
  /** Keeps the events on disk; null keeps none. The supervisor closes it. */
  readonly log: EventSink | null;
  /** Parts that serve all tunnels say through this what belongs to none: the keychain is missing, and the like. */
  readonly onNotes: (say: (level: NoteLevel, message: string) => void) => void;
  /** SSH_AUTH_SOCK of this process: what counts before the first caller. */
  readonly authSock: string | undefined;
  /** The addresses that this machine has now, in one text: a change of it is a change of the network. */
  networkNow(): string;
}

export interface EstateParts {
  /** The listening sockets of all forwards, and those that a supervisor before this one left. */
  readonly sockets: ListeningSockets;
  /** What a person has unlocked since the start, and before it where that was left to us. */
  unlocked(): Unlocked;
  /** Where servers listened for the supervisor before this one: by tunnel, then by forward. */
  readonly serverBinds: Estate['serverBinds'];
}

export interface CarrierNeeds {
  readonly ask: Ask;
  readonly agentSocket: () => string | undefined;
  readonly onNote: (message: string, level?: 'info' | 'warn') => void;
  /** Resolves once every tunnel is up that the profile names in `after`: no dial begins before. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
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
  close(): Promise<void>;
}
