import type { Endpoint } from '../model/endpoint.ts';
import type { TunnelError } from '../model/failure.ts';
import type { Plan } from '../model/plan.ts';
import type { ConnectionStatus } from '../model/status.ts';
import type { Channel, OnIncoming, Originator, TransportFacts } from './transport.ts';

/** What a forward sees of SSH: links come and go beneath it. */
export interface Carrier {
  /**
   * Opens a channel to the target on the link that is up, waits for one where none is (a new one is dialled where
   * nobody needed it so far), and tries again when the link is lost under the attempt, until the signal says stop.
   * Rejects with TARGET_REFUSED, TARGET_PROHIBITED, CHANNEL_TIMEOUT; HOLD_EXPIRED or the signal's reason; LIMIT_REACHED
   * when the queue of waiting opens is full; the link's own failure when it will not come back.
   */
  open(target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel>;
  /**
   * Has the server listen for as long as the result is not closed: asked for again on each new link.
   * @param before where it listened for us until a moment ago: asked for first, and a refusal is then not final
   */
  listen(bind: Endpoint, onChannel: OnIncoming, watch: ListenWatch, before?: Endpoint): RemoteListener;
  /** Says that a forward needs a link from now on. Calling the result withdraws that need, once. */
  need(): () => void;
  /** Whether a link is up now. */
  readonly up: boolean;
}

export interface ListenWatch {
  /** The server listens here now. */
  listening(bound: Endpoint): void;
  /** It does not (any more): refused, or the link is lost; tried again unless the error is final. */
  lost(error: TunnelError): void;
}

export interface RemoteListener {
  /** Cancels on the server; resolves when that is answered or hopeless. */
  close(): Promise<void>;
}

/** The whole carrier, as the tunnel that owns it sees it. */
export interface ManagedCarrier extends Carrier {
  readonly status: CarrierStatus;
  /** Calls back after each change of `status`. @returns how to stop that */
  subscribe(callback: () => void): () => void;
  /** Dials anew, by a changed plan where one is given, and moves over once the new link is up: make before break. */
  renew(plan?: Plan): void;
  /** A person asks: leaves failed, waiting or backoff and dials now (never below the pace that protects the server). */
  retry(): void;
  /** The machine woke or its network changed: proves a live link within 5 s, or cuts a backoff short. */
  wake(): void;
  /** Ends every link: channels have until `drainMs` to end by themselves. Safe to call twice. */
  close(drainMs: number): Promise<void>;
}

export interface CarrierStatus {
  /** `idle`: nobody needs a link. `waiting`: a person must answer. `failed`: will not come back by itself. */
  readonly phase: 'idle' | 'connecting' | 'up' | 'retrying' | 'waiting' | 'failed';
  /** Round trip of the last keepalive. */
  readonly latencyMs: number | null;
  /** Wall clock since which nothing has come from the server, though it was asked; missing where it answers. */
  readonly silentSinceMs?: number;
  /** Links that came up after the first. */
  readonly reconnects: number;
  /** Why it is not up; null once up. */
  readonly lastError: TunnelError | null;
  /** Wall clock of the next dial, while one is scheduled. */
  readonly nextRetryAtMs: number | null;
  readonly facts: TransportFacts | null;
  /** Why the connection that `renew` asked for has not come up, while the old one stays in use; missing otherwise. */
  readonly renewalError?: TunnelError;
  /** Each of several connections that are up at the same time, the first link's first; missing where there is one or none. */
  readonly connections?: readonly ConnectionStatus[];
}
