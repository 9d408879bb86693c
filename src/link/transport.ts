import type { Endpoint } from '../model/endpoint.ts';
import type { TunnelError } from '../model/failure.ts';
import type { HopPlan, Plan } from '../model/plan.ts';
import type { Ask } from './ask.ts';

/** Who the forwarded connection came from (RFC 4254 section 7.2). */
export interface Originator {
  readonly address: string;
  readonly port: number;
  /** The address of ours that it connected to, where it is known. SSH does not carry it; the PROXY protocol does. */
  readonly reached?: { readonly address: string; readonly port: number } | undefined;
}

/**
 * One forwarded connection inside SSH, as two directions of bytes. The hot path speaks to it directly: it is no Node
 * stream, so that window, slab and queue limits can live behind it. Nothing here throws after the channel has closed.
 */
export interface Channel {
  /** Names the one reader, once, and starts the flow: what came before `attach` was kept. */
  attach(sink: ChannelSink): void;
  /** Sends bytes on. False: the channel took them, but hold the source back until `sink.drain()`. The chunk is ours from now on. */
  write(chunk: Buffer): boolean;
  /**
   * As `write`, but the memory stays the caller's, who may use it anew as soon as this returns: what has to wait is copied.
   * Missing where nearly everything would have to be.
   */
  readonly lend?: (chunk: Buffer) => boolean;
  /** Whether another one speaks in between on this connection, so that a source of much should send it in small pieces. Missing: never. */
  readonly shared?: boolean;
  /** What `write` would answer now, for a source that was held back for another reason. False: `sink.drain()` follows. */
  ready(): boolean;
  /** EOF in our direction (RFC 4254 section 5.3); the other direction goes on. */
  end(): void;
  /** Closes both directions at once, without waiting for what is queued. Safe to call twice. `closed` follows. */
  abort(): void;
  /** Holds back `sink.data`: the window fills and the far side stops. Bounded memory is the promise. */
  pause(): void;
  resume(): void;
}

export interface ChannelSink {
  /** The chunk is the sink's from now on. */
  data(chunk: Buffer): void;
  /**
   * As `data`, but the memory stays the channel's, and `settle` follows before the event loop's turn has ended. A sink has both or neither; one without
   * them gets copies.
   */
  borrow?(chunk: Buffer): void;
  /** No more comes for now. @returns true: it needs nothing of what it borrowed any more. False: not before it has called `released`, once */
  settle?(released: () => void): boolean;
  /** The far side's EOF. */
  end(): void;
  drain(): void;
  /** Once, after which nothing else comes. The error says how it was cut; without one the close was clean. */
  closed(error?: TunnelError): void;
}

/** One live SSH connection, logged in, over all its hops. Made by a `Dial`, owned by one SshLink. */
export interface Transport {
  /** What was negotiated with the last hop, for `status -v`, by OpenSSH's names. */
  readonly facts: TransportFacts;
  /** Bytes read from the network so far: growth is proof of life. */
  readonly receivedBytes: number;
  /** Opens `direct-tcpip` or `direct-streamlocal@openssh.com`. Rejects with TARGET_REFUSED, TARGET_PROHIBITED,
   * CHANNEL_TIMEOUT (its own deadline), CONNECTION_LOST, or the signal's reason. */
  openDirect(target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel>;
  /** Asks the server to listen (`tcpip-forward`, `streamlocal-forward@openssh.com`). @returns where it really listens */
  requestForward(bind: Endpoint, onChannel: OnIncoming, signal: AbortSignal): Promise<Endpoint>;
  cancelForward(bind: Endpoint, signal: AbortSignal): Promise<void>;
  /** Sends a keepalive and resolves with its round trip in ms once answered; rejects when the connection ends first.
   * It has no deadline of its own: liveness is judged by `receivedBytes`. */
  ping(): Promise<number>;
  /** Says goodbye (SSH_MSG_DISCONNECT) and closes; `destroy` does not even say that. Both safe to call twice. */
  close(): void;
  destroy(reason: TunnelError): void;
  /** Called once with what ended it, whoever it was; at once where it has ended already. */
  onClosed(callback: (reason: TunnelError) => void): void;
}

/** A Transport that can also open sessions, for commands that look after a server. No link asks for one. */
export interface SessionTransport extends Transport {
  /**
   * Asks for a session channel, gives it the input and EOF (a subsystem has it after its first answer), and waits for its end.
   * Rejects with TIMED_OUT where it does not end, CONNECTION_LOST, or the signal's reason; never because the server refuses.
   */
  runSession(request: SessionRequest, signal: AbortSignal): Promise<SessionOutcome>;
}

/** What a session channel can be asked for (RFC 4254 sections 6.2 and 6.5). A `terminal` is a pty-req, and `true` on it. */
export type SessionRequest =
  | { readonly kind: 'command'; readonly command: string; readonly input: string }
  | { readonly kind: 'shell'; readonly input: string }
  | { readonly kind: 'subsystem'; readonly name: string; readonly input: Buffer }
  | { readonly kind: 'terminal' };

export interface SessionOutcome {
  /** The server agreed to the channel and to the request. What it then runs, it says nowhere. */
  readonly granted: boolean;
  /** The first 64 KiB. */
  readonly output: Buffer;
  /** The same of the other stream. */
  readonly errors: Buffer;
  /** Null where the server told none. */
  readonly status: number | null;
}

export type OnIncoming = (incoming: { readonly originator: Originator; accept(): Channel; refuse(): void }) => void;

export interface TransportFacts {
  readonly serverVersion: string;
  readonly kex: string;
  readonly hostKey: string;
  readonly cipher: string;
  readonly mac: string;
  readonly compression: string;
  /** Words for a person: no native addon, strict key exchange missing, … */
  readonly notes: readonly string[];
  /** Words that a person must not overlook, of every hop: old algorithms in use. */
  readonly warnings: readonly string[];
}

/** Makes one SSH connection through the hops. Rejects with a TunnelError; leaves nothing open when it does. */
export type Dial = (request: DialRequest) => Promise<Transport>;

/**
 * How far the first hop of a dial has come: its addresses are known, TCP is connected (or its proxyCommand started), it has
 * said who it is, keys are exchanged and the login begins.
 */
export type DialProgress = 'resolved' | 'reached' | 'identified' | 'exchanged';

export interface DialRequest {
  readonly hops: readonly HopPlan[];
  readonly timeouts: Plan['timeouts'];
  readonly secrets: Plan['secrets'];
  /** SSH_AUTH_SOCK of the last caller: what a hop's agent 'environment' means. */
  readonly agentSocket: string | undefined;
  /** Asks the person; every deadline of the dial stands still meanwhile. */
  readonly ask: Ask;
  /** `authenticating` begins once the host key of the last hop is trusted. */
  readonly onPhase: (phase: 'connecting' | 'authenticating') => void;
  /** Told how far the first hop has come: from the start again where a dial has to connect anew. */
  readonly onProgress?: (progress: DialProgress) => void;
  /** Something that the person should read in the log: the server's banner (cleaned), an agent that did not answer. */
  readonly onNote: (message: string) => void;
  readonly signal: AbortSignal;
}
