import type { Clock } from '../model/clock.ts';
import type { TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';
import type { StatusEvent, TunnelStatus } from '../model/status.ts';
import { errorStatus } from './tunnel-status.ts';

/**
 * Tunnels that were wanted when the last supervisor ended, and whose profile has mistakes now. They are shown as
 * failed and stay wanted: a person who mends the profile finds them with `up`, `reload` or the next restart.
 */
export class BrokenTunnels {
  readonly #clock: Clock;
  readonly #emit: (event: StatusEvent) => void;
  readonly #tunnels = new Map<string, { readonly wanted: WantedTunnel; readonly row: TunnelStatus }>();

  constructor(clock: Clock, emit: (event: StatusEvent) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  get names(): readonly string[] {
    return [...this.#tunnels.keys()];
  }

  get all(): readonly WantedTunnel[] {
    return [...this.#tunnels.values()].map(({ wanted }) => wanted);
  }

  get rows(): readonly TunnelStatus[] {
    return [...this.#tunnels.values()].map(({ row }) => row);
  }

  wanted(name: string): WantedTunnel | undefined {
    return this.#tunnels.get(name)?.wanted;
  }

  add(wanted: WantedTunnel, error: TunnelError): void {
    const atMs = this.#clock.wallMs();
    const at = new Date(atMs).toISOString();
    const none = { via: null, latencyMs: null, reconnects: 0, nextRetryAt: null, forwards: [] };
    const lastError = errorStatus(error, atMs);
    const row: TunnelStatus = { name: wanted.name, state: 'failed', since: at, ...none, lastError };
    this.#tunnels.set(wanted.name, { wanted, row });
    this.#emit({ event: 'tunnel', at, tunnel: wanted.name, status: row });
  }

  /** @returns whether there was one */
  forget(name: string): boolean {
    return this.#tunnels.delete(name);
  }
}
