import type { Carrier } from '../link/carrier.ts';
import type { Clock } from '../model/clock.ts';
import type { Endpoint } from '../model/endpoint.ts';
import type { TunnelError } from '../model/failure.ts';
import type { MappingFacts } from '../model/mapping.ts';
import type { Plan } from '../model/plan.ts';
import type { Secret } from '../model/secret.ts';
import type { ConnectionRecord, ForwardKind, Health } from '../model/status.ts';
import type { OnNote } from './clients/burst.ts';
import type { ForwardSockets } from './listen/listening-sockets.ts';

/** One forward of a tunnel, whatever its kind. It comes up by itself once started, until it is closed. */
export interface Forward {
  readonly facts: ForwardFacts;
  /** Resolves once the first attempt to bind is made, in either case: `facts` says how it went. Never rejects. Call once. */
  start(): Promise<void>;
  /** The tunnel's link came up or was lost: health is looked at anew. Calling it without a change does no harm. */
  linkChanged(): void;
  /** The machine slept or its network changed; only where that matters beside the link. */
  networkChanged?(): void;
  /** Applies changed settings of the plan without touching the listener or an open connection. */
  update(settings: ForwardSettings): void;
  /**
   * Frees the address at once; connections have `drainMs` to end by themselves, then are cut. Resolves when nothing is
   * left. A second call may shorten the time. Never rejects.
   * @param held clients that wait for a link are cut, since none will come; `serve` where one still may
   */
  close(drainMs: number, held?: 'cut' | 'serve'): Promise<void>;
}

/** A forward now. Values of this moment; `onChange` says when to look again, byte counts apart. */
export interface ForwardFacts {
  readonly name: string;
  readonly kind: ForwardKind;
  /** Ends in the port that is really bound, once it is. */
  readonly bind: string;
  readonly target: string;
  readonly listening: boolean;
  /** Why it does not listen; null while it does. */
  readonly error: TunnelError | null;
  /** Nothing tries again on this link: the server does not want it. */
  readonly final?: boolean;
  /** Null without `expect`, before the first probe, and while no link is up. */
  readonly health: Health | null;
  /** What the last probe met with; only while `health` is failing. The same object for as long as the reason is the same. */
  readonly healthError?: TunnelError;
  readonly openConnections: number;
  readonly totalConnections: number;
  /** From the target to the client. */
  readonly receivedBytes: number;
  /** From the client to the target. */
  readonly sentBytes: number;
  /** Only where it opens on demand. */
  readonly demand?: DemandFacts;
  /** The port of the router that leads here; only where one is wanted. */
  readonly map?: MappingFacts;
}

export interface DemandFacts {
  /** It was used, and has not been left alone for long enough since. */
  readonly open: boolean;
  /** Wall clock of the moment in which it closes if nobody uses it till then; null while it is closed or in use. */
  readonly closesAtMs: number | null;
}

export type HealthFacts = Pick<ForwardFacts, 'health' | 'healthError'>;

/** Where a forward knows from how the service behind it does: one probe, or one for each target. */
export interface HealthSource {
  readonly facts: HealthFacts;
  start(): void;
  linkChanged(): void;
  update(probe: ForwardSettings['probe']): void;
  close(): void;
}

export type ForwardSettings = Pick<Plan, 'limits' | 'whileDown' | 'probe'>;

/** A password that is kept as a secret: `subject` is its name, as `tunnel secret set password` takes it. */
export interface KeptPassword {
  readonly subject: string;
  /** Undefined where there is none. Asks nobody. Rejects with SECRET_STORE. */
  read(): Promise<Secret | undefined>;
}

/** What a forward stands on, and whom it tells. The callbacks must not throw. */
export interface ForwardContext extends ForwardSettings {
  readonly carrier: Carrier;
  readonly clock: Clock;
  /** The password that clients of this forward log in with under that name. */
  readonly proxyPassword: (user: string) => KeptPassword;
  /** The port of last time, for a bind port of 0. */
  readonly preferredPort?: number;
  /** Where listening sockets come from and go to that outlive this process; absent where none do. */
  readonly sockets?: ForwardSockets;
  /** Where the server listened for this forward a moment ago, for a supervisor that has left it to us. */
  readonly serverBind?: Endpoint;
  /** The port that is bound now: to be kept for next time. Not called for a unix socket. */
  onBound(port: number): void;
  /** Something in `facts` changed, byte counts apart. */
  onChange(): void;
  /** A connection that had its channel has ended. Those that got none are notes. */
  onConnection(record: ConnectionRecord): void;
  onNote: OnNote;
}
