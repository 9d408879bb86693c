import type { ForwardSpec } from './forward-spec.ts';
import type { AuthMethod, HookCommand, HostKeyPolicy, SecretSource } from './plan.ts';

/** What a person wrote: read and checked, with nothing filled in. Paths are as written; times are in milliseconds. */
export interface Profile {
  readonly description?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Jump hosts first, the SSH server last; absent where no forward needs SSH. */
  readonly via?: readonly HopSpec[] | undefined;
  /** A file, or `none`; undefined is what `ssh` itself reads. */
  readonly sshConfig?: string | undefined;
  readonly forwards: readonly ForwardSpec[];
  readonly keepalive?:
    { readonly intervalMs?: number | undefined; readonly maxMissed?: number | undefined } | undefined;
  readonly reconnect?:
    | {
        readonly initialMs?: number | undefined;
        readonly maxMs?: number | undefined;
        /** null: never. */
        readonly giveUpAfterMs?: number | null | undefined;
      }
    | undefined;
  readonly timeouts?:
    | {
        readonly connectMs?: number | undefined;
        readonly loginMs?: number | undefined;
        readonly channelMs?: number | undefined;
      }
    | undefined;
  readonly limits?: { readonly connections?: number | undefined; readonly perClient?: number | undefined } | undefined;
  readonly whileDown?:
    'refuse' | { readonly holdMs?: number | undefined; readonly queue?: number | undefined } | undefined;
  readonly probe?: { readonly everyMs?: number | undefined; readonly timeoutMs?: number | undefined } | undefined;
  readonly secrets?:
    | {
        readonly password?: SecretSource | undefined;
        readonly passphrase?: SecretSource | undefined;
        readonly totp?: SecretSource | undefined;
      }
    | undefined;
  readonly connections?: number | 'auto' | undefined;
  readonly after?: readonly string[] | undefined;
  readonly hooks?:
    | {
        readonly up?: HookCommand | undefined;
        readonly down?: HookCommand | undefined;
        readonly waiting?: HookCommand | undefined;
      }
    | undefined;
}

/** One entry of `via`. */
export interface HopSpec {
  /** Goes through ssh_config as `ssh host` would. An IPv6 literal is held without its brackets. */
  readonly host: string;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly identity?: readonly string[] | undefined;
  readonly agent?: boolean | string | undefined;
  readonly auth?: readonly AuthMethod[] | undefined;
  readonly knownHosts?: readonly string[] | undefined;
  readonly hostKey?: HostKeyPolicy | undefined;
  readonly proxyCommand?: string | undefined;
  readonly compression?: boolean | undefined;
  readonly ciphers?: readonly string[] | undefined;
  readonly kex?: readonly string[] | undefined;
  readonly macs?: readonly string[] | undefined;
  readonly hostKeyAlgorithms?: readonly string[] | undefined;
  readonly legacy?: boolean | undefined;
}

/**
 * Every default that is a value, once: the schema shows them, `plan/resolve.ts` fills them in, nobody else does either.
 * Why these: docs of the fields, in `profile/schema.ts`.
 */
export const DEFAULTS = {
  port: 22,
  keepalive: { intervalMs: 15_000, maxMissed: 3 },
  reconnect: { initialMs: 500, maxMs: 30_000, giveUpAfterMs: null },
  timeouts: { connectMs: 10_000, loginMs: 30_000, channelMs: 15_000 },
  limits: { connections: 1024, perClient: 256 },
  whileDown: { holdMs: 15_000, queue: 256 },
  probe: { everyMs: 30_000, timeoutMs: 5_000 },
  connections: 1,
  idleMs: 600_000,
  /** RFC 4787 section 4.3 forbids a NAT less than two minutes, since clients keep their mapping alive by that. */
  udpIdleMs: 120_000,
  auth: ['publickey', 'keyboard-interactive', 'password'],
} as const satisfies { readonly auth: readonly AuthMethod[] } & Record<string, unknown>;

/** What a profile's name may be: the base name of its file. */
export const PROFILE_NAME = /^[a-z0-9][a-z0-9._-]*$/;
