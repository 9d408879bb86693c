/** Where a request comes from: names are resolved from `cwd`, the agent is that of the caller. */
export interface Caller {
  readonly cwd: string;
  /** The caller's SSH_AUTH_SOCK. */
  readonly authSock?: string;
}

/** Which tunnels are meant: names or paths of profiles, every profile with a tag, or all. */
export type Selection = { readonly names: readonly string[] } | { readonly tag: string } | { readonly all: true };

/** A question that is open now. */
export interface OpenQuestion {
  readonly id: string;
  readonly tunnel: string;
  readonly kind: 'passphrase' | 'password' | 'code' | 'host-key' | 'confirm';
  readonly subject: string;
  readonly prompt: string;
  readonly detail: string;
  readonly echo: boolean;
}

export interface UpTunnel {
  readonly name: string;
  /** It was wanted before this call. */
  readonly already: boolean;
  /** Its profile had changed, and the change was applied. */
  readonly reloaded: boolean;
  /** What this call makes count and a person should know: what of ssh_config is left out, above all. Absent where there is nothing new. */
  readonly warnings?: readonly string[];
}
