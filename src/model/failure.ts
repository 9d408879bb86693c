/** What a failure means to a script and to the retry loop; the message and hint are for the person. */
interface FailureKind {
  /** Time may heal it: the link tries again by itself. */
  readonly retryable: boolean;
  /** Exit code of the command that ends with it (docs/errors.md). */
  readonly exit: number;
  /** What to do next, where one sentence fits every case; a thrower may say something more precise. */
  readonly hint: string;
}

/** Every way to fail that has a name. `docs/errors.md` holds the same list; a test keeps the two together. */
export const FAILURES = {
  // What was asked for is wrong: 2 and 3.
  USAGE: { retryable: false, exit: 2, hint: 'See `tunnel help`.' },
  PROFILE_INVALID: { retryable: false, exit: 2, hint: 'Correct the places named; nothing was changed.' },
  PROFILE_UNTRUSTED: { retryable: false, exit: 2, hint: 'Read the profile, then run `tunnel trust FILE`.' },
  PROFILE_CONFLICT: { retryable: false, exit: 2, hint: 'Give one of them another bind address or port.' },
  NOT_SUPPORTED: { retryable: false, exit: 2, hint: '' },
  PROFILE_NOT_FOUND: { retryable: false, exit: 3, hint: '`tunnel list` shows the profiles there are.' },
  NOT_RUNNING: { retryable: false, exit: 3, hint: 'Start it with `tunnel up NAME`.' },

  // Who we are to the server: 4.
  LOGIN_REFUSED: { retryable: false, exit: 4, hint: 'Check the user name and the keys that the server accepts.' },
  NEEDS_PERSON: { retryable: false, exit: 4, hint: 'Answer with `tunnel answer` on a terminal.' },
  KEY_UNUSABLE: { retryable: false, exit: 4, hint: '' },

  // Who the server is to us: 5.
  HOST_KEY_UNKNOWN: { retryable: false, exit: 5, hint: 'Compare the fingerprint, then run `tunnel trust HOST`.' },
  HOST_KEY_CHANGED: { retryable: false, exit: 5, hint: 'Ask the owner of the host for its fingerprint first.' },
  HOST_KEY_REVOKED: { retryable: false, exit: 5, hint: 'Do not connect; ask the owner of the host.' },

  // Ports here: 6. Time or another program's end heals them, without a login meanwhile.
  BIND_DENIED: { retryable: true, exit: 6, hint: 'Choose a bind port of 1024 or more, such as 1113.' },
  BIND_IN_USE: { retryable: true, exit: 6, hint: 'Stop the program that holds the port, or choose another port.' },
  BIND_UNAVAILABLE: { retryable: true, exit: 6, hint: 'Bind an address that this machine has.' },

  // The way to the server: 7.
  NAME_UNRESOLVED: { retryable: true, exit: 7, hint: 'Check the host name and the DNS.' },
  CONNECT_REFUSED: { retryable: true, exit: 7, hint: 'Check the port, and that sshd runs there.' },
  CONNECT_TIMEOUT: { retryable: true, exit: 7, hint: 'Check the address and the firewalls on the way.' },
  UNREACHABLE: { retryable: true, exit: 7, hint: 'Check the network.' },
  NOT_SSH: { retryable: true, exit: 7, hint: 'Check the port: something else than an SSH server answers there.' },
  HANDSHAKE_FAILED: { retryable: true, exit: 7, hint: '' },
  NO_COMMON_ALGORITHM: { retryable: false, exit: 7, hint: 'An old server may need `legacy: true` in the profile.' },
  LOGIN_TIMEOUT: { retryable: true, exit: 7, hint: '' },
  CONNECTION_LOST: { retryable: true, exit: 7, hint: '' },
  KEEPALIVE_TIMEOUT: { retryable: true, exit: 7, hint: '' },
  TIMED_OUT: { retryable: true, exit: 7, hint: '' },

  // What the server lets us do: 8 for a forward; a refused target ends one connection only.
  FORWARD_REFUSED: {
    retryable: true,
    exit: 8,
    hint: 'The server may forbid it (AllowTcpForwarding, PermitListen, GatewayPorts), or the port is taken there.',
  },
  TARGET_REFUSED: { retryable: false, exit: 1, hint: 'Check that the target service runs and is spelled right.' },
  TARGET_PROHIBITED: {
    retryable: false,
    exit: 1,
    hint: 'The server forbids it (AllowTcpForwarding, PermitOpen), or cannot resolve the name.',
  },
  CLIENT_REFUSED: { retryable: false, exit: 1, hint: 'Check the proxy settings of the program that connects here.' },
  SERVICE_UNHEALTHY: {
    retryable: true,
    exit: 1,
    hint: 'Check that the service at the target is the one that `expect` names.',
  },
  CHANNEL_TIMEOUT: { retryable: false, exit: 1, hint: '' },
  HOLD_EXPIRED: { retryable: false, exit: 1, hint: '' },
  LIMIT_REACHED: { retryable: false, exit: 1, hint: 'Raise `limits` in the profile if this is expected.' },

  KEY_UNLIMITED: {
    retryable: false,
    exit: 1,
    hint: 'Another line of authorized_keys may hold this key without limits: sshd takes the first one.',
  },
  REMOTE_COMMAND: { retryable: false, exit: 1, hint: '' },

  // The router, asked to lead a port here: the forward itself works on without it.
  ROUTER_NOT_FOUND: {
    retryable: true,
    exit: 7,
    hint: "Switch on PCP, NAT-PMP or UPnP in the router's settings, or forward the port there by hand.",
  },
  ROUTER_REFUSED: { retryable: true, exit: 8, hint: "Forward the port by hand in the router's settings." },
  ROUTER_NOT_PUBLIC: {
    retryable: true,
    exit: 7,
    hint: 'Have the outer router forward the port to the inner one, or join their networks (bridge mode).',
  },

  // Ourselves: 1, and 130 for Ctrl-C.
  SUPERVISOR_UNREACHABLE: {
    retryable: false,
    exit: 1,
    hint: 'See `tunnel logs`, or run `tunnel daemon run` to watch it start.',
  },
  SUPERVISOR_RUNNING: {
    retryable: false,
    exit: 1,
    hint: 'Stop it with `tunnel daemon stop`, or use it without --foreground.',
  },
  HANDOVER_FAILED: {
    retryable: false,
    exit: 1,
    hint: 'The supervisor that ran goes on. `tunnel daemon stop` ends it; the next command starts another.',
  },
  PROTOCOL: { retryable: false, exit: 1, hint: 'Run `tunnel daemon restart`.' },
  SECRET_STORE: { retryable: false, exit: 1, hint: '' },
  FILE: { retryable: false, exit: 1, hint: '' },
  STOPPED: { retryable: false, exit: 1, hint: '' },
  INTERNAL: { retryable: false, exit: 1, hint: 'This is a fault of tunnel: please report it with `tunnel logs`.' },
  INTERRUPTED: { retryable: false, exit: 130, hint: '' },
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof FAILURES;

/** One mistake in a file that a person wrote. Lines and columns count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** What crosses the control socket, stands in `status --json` and is printed under `--json`. */
export interface FailureFacts {
  readonly code: FailureCode;
  readonly message: string;
  readonly hint: string;
  readonly exit: number;
  readonly problems?: readonly Problem[];
}

/**
 * The one error class. The message reads "Cannot <verb> <object with its address>: <why>", without a full stop, a
 * secret or another library's words in raw form; whatever a server or a file said went through `clean` first.
 */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  readonly code: FailureCode;
  readonly hint: string;
  readonly problems: readonly Problem[];

  constructor(
    code: FailureCode,
    message: string,
    options: { readonly cause?: unknown; readonly hint?: string; readonly problems?: readonly Problem[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? FAILURES[code].hint;
    this.problems = options.problems ?? [];
  }

  get retryable(): boolean {
    return FAILURES[this.code].retryable;
  }

  get exit(): number {
    return FAILURES[this.code].exit;
  }

  /** The JSON-safe face of this error. */
  get facts(): FailureFacts {
    const { code, message, hint, exit, problems } = this;
    return { code, message, hint, exit, ...(problems.length > 0 ? { problems } : {}) };
  }

  static fromFacts(facts: FailureFacts): TunnelError {
    const code = facts.code in FAILURES ? facts.code : 'INTERNAL'; // a newer supervisor may know a code that we do not
    return new TunnelError(code, facts.message, { hint: facts.hint, problems: facts.problems ?? [] });
  }
}

/** Any thrown value as a TunnelError: a foreign one is a fault of ours, and keeps its stack as the cause. */
export function asTunnelError(thrown: unknown): TunnelError {
  if (thrown instanceof TunnelError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TunnelError('INTERNAL', message, { cause: thrown });
}

/** Any thrown value as an Error, with the fields that the system's errors have. */
export function asError(thrown: unknown): NodeJS.ErrnoException {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
