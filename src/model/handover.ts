/** Raised when a supervisor could misread what another one hands to it. */
export const HANDOVER_VERSION = 1;

/** A listening socket that goes from one supervisor to the next, which finds it open as this descriptor. */
export interface HandedSocket {
  readonly protocol: 'tcp' | 'udp' | 'unix';
  /** `host:port` as it was bound, or the path. */
  readonly at: string;
  readonly fd: number;
}

/** What a person has unlocked. It crosses in memory only, from process to process: never a file, an argument, a log. */
export interface Unlocked {
  /** Passwords that have logged in, by `user@host:port`. */
  readonly passwords: Readonly<Record<string, string>>;
  /** Private keys by the file and its state: PKCS #8 (RFC 5208), DER in base64. */
  readonly keys: Readonly<Record<string, string>>;
}

/** All that a supervisor leaves to the one that takes its place. */
export interface Estate {
  readonly sockets: readonly HandedSocket[];
  /** Where servers listen for us: by tunnel, then by forward, as `host:port` or a path. */
  readonly serverBinds: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly unlocked: Unlocked;
}

export const NOTHING_UNLOCKED: Unlocked = { passwords: {}, keys: {} };
