/** What a supervisor remembers over its own end, `kill -9` included: `wanted.json` in the state folder. JSON-safe. */
export interface SupervisorMemory {
  readonly wanted: readonly WantedTunnel[];
  /** SSH_AUTH_SOCK of the last caller who had one, for tunnels that come back without a caller. */
  readonly authSock?: string;
  /** Ports chosen for `auto` binds: by tunnel, then by forward. Kept over `down`, so that the port stays the same. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A tunnel that is to run, and how its profile is found again. */
export interface WantedTunnel {
  readonly name: string;
  /** What the person wrote: a profile's name, or an absolute path. */
  readonly profile: string;
  /** Where the name is looked up from. */
  readonly cwd: string;
}

export const NOTHING_REMEMBERED: SupervisorMemory = { wanted: [], ports: {} };
