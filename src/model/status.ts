import type { FailureCode } from './failure.ts';
import type { MappingState, MappingWay } from './mapping.ts';

/** `tunnel status --json`, version 1. Relied on from outside: fields are added, never renamed. */
export interface StatusSnapshot {
  readonly version: 1;
  readonly supervisor: SupervisorStatus | null;
  readonly tunnels: readonly TunnelStatus[];
}

export interface SupervisorStatus {
  readonly pid: number;
  /** ISO 8601 UTC, as every time here. */
  readonly startedAt: string;
  readonly version: string;
}

export type TunnelState = 'stopped' | 'idle' | 'connecting' | 'up' | 'retrying' | 'waiting' | 'failed' | 'stopping';
export type ForwardState = 'stopped' | 'idle' | 'connecting' | 'up' | 'retrying' | 'failed';
export type ForwardKind = 'local' | 'remote' | 'socks' | 'remote-socks' | 'trigger' | 'relay';
export type Health = 'ok' | 'failing';

export interface TunnelStatus {
  readonly name: string;
  readonly state: TunnelState;
  readonly since: string;
  /** The SSH server as the person wrote it; null for a profile of relays alone. */
  readonly via: string | null;
  readonly latencyMs: number | null;
  /**
   * Since when nothing has come from the SSH server, though it was asked for a keepalive's interval: it may be gone, and `latencyMs` is of
   * before. Absent where it answers.
   */
  readonly silentSince?: string;
  readonly reconnects: number;
  readonly lastError: ErrorStatus | null;
  readonly nextRetryAt: string | null;
  /** What was negotiated with the SSH server, while there is a connection. */
  readonly link?: LinkStatus;
  /** Why the new connection of a `restart` or `reload` has not come up; the old one stays in use meanwhile. */
  readonly renewalError?: ErrorStatus;
  /** Each SSH connection, where there are several (`connections` of the profile). */
  readonly connections?: readonly ConnectionStatus[];
  /** Open connections of forwards that a `reload` took away or replaced; they end by themselves. Absent where there are none. */
  readonly leavingConnections?: number;
  readonly forwards: readonly ForwardStatus[];
}

/** One of several SSH connections over which channels are spread. */
export interface ConnectionStatus {
  readonly channels: number;
  readonly latencyMs: number | null;
}

/** Algorithms by their names on the wire. */
export interface LinkStatus {
  /** As it calls itself, such as `OpenSSH_10.0p2 Debian-7`. */
  readonly server: string;
  readonly kex: string;
  readonly hostKey: string;
  readonly cipher: string;
  /** `implicit` where the cipher brings its own. */
  readonly mac: string;
  readonly compression: string;
  /** What a person should know: no strict key exchange, no native addon. */
  readonly notes: readonly string[];
  /** What nobody should overlook: old algorithms that `legacy: true` let in, at any hop. */
  readonly warnings: readonly string[];
}

export interface ForwardStatus {
  readonly name: string;
  readonly kind: ForwardKind;
  /** Ends in the port that is really bound. */
  readonly bind: string;
  readonly target: string;
  readonly state: ForwardState;
  readonly health: Health | null;
  /** What the last probe met with; only while `health` is failing. */
  readonly healthError?: ErrorStatus;
  readonly openConnections: number;
  readonly totalConnections: number;
  /** From the target to the client. */
  readonly receivedBytes: number;
  /** From the client to the target. */
  readonly sentBytes: number;
  readonly lastError: ErrorStatus | null;
  /** Who can reach it from other machines; only where it listens beyond loopback. */
  readonly gateway?: Exposure;
  /** Ports that the server opens while a trigger is in use; only those that are reached from beyond the server. */
  readonly returnPorts?: readonly { readonly bind: string; readonly gateway: Exposure }[];
  /** When it closes if nobody uses it till then; null while it is closed or in use. Only where it opens on demand. */
  readonly idleClosesAt?: string | null;
  /** The port of the router that leads here; only where the profile asks for one. The forward's own state is not touched by it. */
  readonly map?: MapStatus;
}

/** A listener that others than the programs of its own machine can reach. JSON-safe. */
export interface Exposure {
  /** Whose addresses it is open at: this machine's, or the SSH server's. */
  readonly machine: 'here' | 'server';
  /** Client addresses in CIDR form; null is everybody who can reach that machine. */
  readonly allow: readonly string[] | null;
  /** A return port: only while its trigger is in use. */
  readonly triggered?: true;
  /** The port of the router that is asked for, so that it can be reached from outside; only where one is. */
  readonly map?: { readonly port: number; readonly protocol: 'tcp' | 'udp' };
}

export interface MapStatus {
  readonly state: MappingState;
  /** What was asked for. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** What was granted: `203.0.113.7:80`; null while it was not. */
  readonly external: string | null;
  /** By which protocol; null while it was not granted. */
  readonly way: MappingWay | null;
  /** The address of the router; null where none was found. */
  readonly router: string | null;
  /** When the router forgets it unless it is asked again; null: not before it is removed, or it was not granted. */
  readonly expiresAt: string | null;
  /** Why strangers cannot come in by it; null while they can. */
  readonly lastError: ErrorStatus | null;
}

export interface ErrorStatus {
  readonly code: FailureCode;
  readonly message: string;
  readonly hint: string;
  readonly at: string;
}

/** The one stream of facts, after a snapshot: what `logs` keeps, `watch` draws and `up` waits for. JSON-safe. */
export type StatusEvent =
  /** The tunnel as it is now: sent on every change that `status` would show, byte counts apart. */
  | { readonly event: 'tunnel'; readonly at: string; readonly tunnel: string; readonly status: TunnelStatus }
  | { readonly event: 'removed'; readonly at: string; readonly tunnel: string }
  /** One finished connection of a client. `repeated`: in the log, so many that failed alike were folded into it. */
  | ({
      readonly event: 'connection';
      readonly at: string;
      readonly tunnel: string;
      readonly repeated?: number;
    } & ConnectionRecord)
  /** A sentence for the log: a warning, a notice of the server, a hook's output. `repeated`: so many alike were folded into it. */
  | {
      readonly event: 'note';
      readonly at: string;
      readonly tunnel: string | null;
      readonly level: 'info' | 'warn' | 'error';
      readonly code?: FailureCode;
      readonly message: string;
      readonly repeated?: number;
    };

export interface ConnectionRecord {
  readonly forward: string;
  /** `address:port` of the client, or 'unix'. */
  readonly client: string;
  readonly target: string;
  readonly durationMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** `done`: both ways ended by themselves; otherwise why it was cut. */
  readonly end: 'done' | 'reset' | FailureCode;
  /** Plain words for `end`, where there is more to say. */
  readonly reason?: string;
  /** So many alike were folded into this one in the log; its figures are those of the last. */
  readonly repeated?: number;
}
