import type { Endpoint } from './endpoint.ts';

/** What will run: every default filled (by `plan/resolve.ts` and nobody else), every time in milliseconds. JSON-safe. */
export interface Plan {
  readonly name: string;
  /** The profile's file, absolute; '' for a plan that a program made itself. */
  readonly file: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** The way to the SSH server, the server itself last. Empty only where no forward needs SSH. */
  readonly hops: readonly HopPlan[];
  readonly forwards: readonly ForwardPlan[];
  readonly keepalive: { readonly intervalMs: number; readonly maxMissed: number };
  /** `giveUpAfterMs`: Infinity is written null, for JSON's sake. */
  readonly reconnect: { readonly initialMs: number; readonly maxMs: number; readonly giveUpAfterMs: number | null };
  readonly timeouts: { readonly connectMs: number; readonly loginMs: number; readonly channelMs: number };
  /**
   * Open at once, for each forward. `perLocalClient` is the limit for this machine's own programs, which all come from
   * one address: the profile's `perClient` where it is written there, else `connections`. Missing, it is `perClient`.
   */
  readonly limits: { readonly connections: number; readonly perClient: number; readonly perLocalClient?: number };
  /** `holdMs` counts from accept to the open channel, outages included. */
  readonly whileDown: { readonly hold: boolean; readonly holdMs: number; readonly queue: number };
  readonly probe: { readonly everyMs: number; readonly timeoutMs: number };
  /** Where each secret comes from, by its kind; a source that has nothing falls through to asking a person. */
  readonly secrets: { readonly password: SecretSource; readonly passphrase: SecretSource; readonly totp: SecretSource };
  /** SSH connections over which channels are spread; `auto`: more than one only for a crowd of them. */
  readonly connections: number | 'auto';
  readonly after: readonly string[];
  readonly hooks: {
    readonly up: HookCommand | null;
    readonly down: HookCommand | null;
    readonly waiting: HookCommand | null;
  };
  /** What the person should know and nobody else says: an ssh_config option that cannot be honoured, and the like. */
  readonly warnings: readonly string[];
}

/** One SSH server on the way. */
export interface HopPlan {
  /** What the person wrote: `alice@pop.example.org`, an alias. For messages and known-host prompts. */
  readonly label: string;
  /** Where the TCP connection goes. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The name that known_hosts is asked for: HostKeyAlias, else the host as typed or resolved by ssh_config. */
  readonly hostKeyName: string;
  readonly addressFamily: 'any' | 'inet' | 'inet6';
  /** Local address to dial from; null lets the system choose. */
  readonly bindAddress: string | null;
  /** A shell line whose stdin and stdout are the connection, tokens expanded; null dials `host`. */
  readonly proxyCommand: string | null;
  /** Identity files in the order to try, absolute, tokens expanded. `explicit`: named by the person rather than a default. */
  readonly identities: readonly { readonly file: string; readonly explicit: boolean }[];
  readonly certificates: readonly string[];
  /** How those files stood when the plan was made: one that was replaced under its name makes another plan. */
  readonly keysAsOf?: string;
  /** The profile by whose name `tunnel trust` finds this server; missing where the label has to do. */
  readonly trustedAs?: string;
  readonly identitiesOnly: boolean;
  /** Where the agent listens: a path; 'environment' is SSH_AUTH_SOCK of the last caller; null is no agent. */
  readonly agent: string | null;
  /** In the order to try; empty where ssh_config leaves none: then only a server that asks for nothing lets us in. */
  readonly auth: readonly AuthMethod[];
  /** Files asked for host keys, user's first, absolute. New keys are appended to the first. */
  readonly knownHosts: readonly string[];
  readonly hostKey: HostKeyPolicy;
  readonly hashKnownHosts: boolean;
  /** Host-key rotation (UpdateHostKeys): learn, ask the person, or leave alone. */
  readonly updateHostKeys: 'yes' | 'ask' | 'no';
  /** Keys that are never accepted, absolute: public keys or a revocation list; null is none (RevokedHostKeys). */
  readonly revokedHostKeys: string | null;
  /** By which an authority may sign a host's certificate, as OpenSSH lists them; null is all that are safe. */
  readonly caSignatureAlgorithms: readonly string[] | null;
  readonly compression: boolean;
  /** OpenSSH's names, a leading +, - or ^ on the first as OpenSSH reads them; null is our own order. */
  readonly ciphers: readonly string[] | null;
  readonly kex: readonly string[] | null;
  readonly macs: readonly string[] | null;
  readonly hostKeyAlgorithms: readonly string[] | null;
  readonly legacy: boolean;
  /** Rekey after so many bytes or ms; null is the default of 1 GiB and one hour. */
  readonly rekey: { readonly bytes: number | null; readonly everyMs: number | null };
}

export type AuthMethod = 'publickey' | 'keyboard-interactive' | 'password';

/** `strict`: unknown asks on a terminal and is refused elsewhere. A changed key is refused by each. */
export type HostKeyPolicy =
  | { readonly kind: 'strict' | 'accept-new' }
  | { readonly kind: 'fingerprint'; readonly fingerprints: readonly string[] };

export type SecretSource =
  | { readonly kind: 'keychain' | 'vault' | 'prompt' }
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  | { readonly kind: 'file'; readonly path: string };

/** A string runs through the person's shell, as written; a list is an argument vector. */
export type HookCommand = string | readonly string[];

/** A forward of any kind. */
export type ForwardPlan =
  | LocalForwardPlan
  | SocksForwardPlan
  | RemoteForwardPlan
  | RemoteSocksForwardPlan
  | TriggerForwardPlan
  | RelayForwardPlan;

/** What every kind says: who listens where, and for whom. */
export interface ListenerPlan {
  /** Unique in its profile: the given name, else made from the bind address. */
  readonly name: string;
  /** `localhost` means 127.0.0.1 and ::1 together; port 0 one that is free on both. */
  readonly bind: Endpoint;
  /** Client addresses in CIDR form; null is everybody who can reach the bind address. */
  readonly allow: readonly string[] | null;
  readonly expect: Expectation | null;
  /** Null where it needs the SSH connection for as long as it listens. */
  readonly demand: DemandPlan | null;
  readonly clients: ClientRule;
  /** A port of the router that is to lead to this listener; missing where none is. */
  readonly map?: MapPlan;
  /** Whose programs may connect to a Unix socket that this machine listens on; missing: its owner's alone. */
  readonly access?: SocketAccess;
}

/** The mode of a socket file: 0600, 0660 or 0666. */
export type SocketAccess = 'owner' | 'group' | 'everybody';

export interface MapPlan {
  /** Wished for: the router may grant another. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/**
 * Which client addresses may use a listener: `many`; or one at a time, and a second one is refused (`exclusive`), replaces
 * the first (`takeover`), or waits until the first has gone (`queue`).
 */
export type ClientRule = 'many' | 'exclusive' | 'takeover' | 'queue';

/** When a forward that opens at its first use closes again. */
export interface DemandPlan {
  /** After the last connection has gone. */
  readonly idleMs: number;
  /** After it was opened, whoever uses it; null is never. */
  readonly lifetimeMs: number | null;
}

export interface LocalForwardPlan extends ListenerPlan {
  readonly kind: 'local';
  /** Resolved by the SSH server. */
  readonly target: Endpoint;
}

/** Clients say where to, by SOCKS or HTTP CONNECT; the SSH server resolves and connects. */
export interface SocksForwardPlan extends ListenerPlan {
  readonly kind: 'socks';
  /** Clients log in by this name with the password kept as a secret; null lets everybody in. */
  readonly auth: string | null;
  /** Whom `expect` asks, as a client would; null asks nobody. */
  readonly expectAt: Endpoint | null;
}

/** No SSH: the targets are dialled from this machine. */
export interface RelayForwardPlan extends ListenerPlan {
  readonly kind: 'relay';
  readonly protocol: 'tcp' | 'udp';
  /** One or several, in the order to prefer them. A name is resolved here, each time. */
  readonly targets: readonly Endpoint[];
  readonly choose: 'failover' | 'round-robin';
  /** Tells the target who is really calling; null says nothing. */
  readonly proxyProtocol: 'v1' | 'v2' | null;
  /** How long one target may take to answer a connection. */
  readonly connectMs: number;
  /** UDP: a client from which and for which nothing came for so long is forgotten. */
  readonly idleMs: number;
}

/** The SSH server listens; each connection is led to a target that this machine reaches. */
export interface RemoteForwardPlan extends ListenerPlan {
  readonly kind: 'remote';
  /** Resolved here. */
  readonly target: Endpoint;
}

/** The SSH server listens for clients who say where to; this machine resolves and connects. */
export interface RemoteSocksForwardPlan extends ListenerPlan {
  readonly kind: 'remote-socks';
  readonly auth: string | null;
  readonly expectAt: Endpoint | null;
  /** The only targets, `HOST:PORT` each, `*` for any of either (PermitRemoteOpen); null is no bound. */
  readonly permit: readonly string[] | null;
}

export interface TriggerForwardPlan extends ListenerPlan {
  readonly kind: 'trigger';
  /** Of the trigger itself; resolved by the SSH server. */
  readonly target: Endpoint;
  /** The server listens on `bind` while the trigger is in use, and leads to `clientPort` of whoever uses it. */
  readonly opens: readonly ReturnPortPlan[];
  /** The return ports close after so long without traffic. */
  readonly idleMs: number;
}

export interface ReturnPortPlan {
  readonly bind: Endpoint;
  readonly clientPort: number;
  /** Addresses of callers in CIDR form, as the server tells them; null is everybody who can reach the port there. */
  readonly allow: readonly string[] | null;
}

export type Expectation =
  | { readonly kind: 'tcp' | 'pop3' | 'imap' | 'smtp' | 'http' | 'tls' | 'ssh' }
  | { readonly kind: 'banner'; readonly pattern: string }
  /** Of a UDP service: a datagram whose characters are bytes, and what the answer must look like; null is any answer. */
  | { readonly kind: 'datagram'; readonly send: string; readonly match: string | null };
