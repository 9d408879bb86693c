import type { Estate } from '../model/handover.ts';
import type { SupervisorDeps } from './deps.ts';
import type { MemoryKeeper } from './memory-keeper.ts';
import { leavesSocket } from './state.ts';
import type { Tunnels } from './tunnels.ts';

export interface SuccessionParts {
  readonly estate: SupervisorDeps['estate'];
  readonly tunnels: Pick<Tunnels, 'all' | 'get'>;
  readonly memory: Pick<MemoryKeeper, 'freeze' | 'thaw'>;
  /** From now on the next supervisor tells how the tunnels are. */
  readonly quiet: () => void;
}

/** One supervisor taking the place of another: what the old one leaves, and how it goes. */
export class Succession {
  readonly #parts: SuccessionParts;

  #onDown: (name: string | null, drainMs: number) => void = () => undefined;

  constructor(parts: SuccessionParts) {
    this.#parts = parts;
  }

  /** What there is to leave now. Its descriptors are those of this process. */
  get estate(): Estate {
    const { estate, tunnels } = this.#parts;
    const binds = tunnels.all.map(({ status }) => {
      const held = status.forwards.filter((forward) => leavesSocket(forward));
      return [status.name, Object.fromEntries(held.map(({ name, bind }) => [name, bind]))] as const;
    });
    return { sockets: estate.sockets.open, serverBinds: Object.fromEntries(binds), unlocked: estate.unlocked() };
  }

  /** What is wanted is on disk, and nothing more is written there: the next supervisor reads it. */
  async prepare(): Promise<void> {
    await this.#parts.memory.freeze();
  }

  /** The next supervisor did not come up: this one goes on. */
  cancel(): void {
    this.#parts.memory.thaw();
  }

  /** As the one that comes: resolves once every forward has tried to bind, and lets go of the sockets that none took. */
  async settle(): Promise<void> {
    await Promise.all(this.#parts.tunnels.all.map((tunnel) => tunnel.tried));
    this.letGo();
  }

  /** Closes the inherited sockets that no forward took. */
  letGo(): void {
    this.#parts.estate.sockets.closeRest();
  }

  /** As the one that came: calls back when tunnels are taken down (null: all), for the one before may still serve some. */
  onDown(callback: (name: string | null, drainMs: number) => void): void {
    this.#onDown = callback;
  }

  tookDown(name: string | null, drainMs: number): void {
    this.#onDown(name, drainMs);
  }

  /**
   * The next supervisor serves: its listeners take the new clients, ours close, and connections have until `drainMs` to
   * end. Resolves when the last one has. Nothing is told and no hook runs, for the tunnels are not down.
   */
  async leave(drainMs: number): Promise<void> {
    this.#begin();
    await Promise.all(this.#parts.tunnels.all.map((tunnel) => tunnel.leave(drainMs)));
  }

  /** While it leaves: a tunnel was taken down (null: all), so what it still serves has no more than this. */
  hurry(name: string | null, drainMs: number): void {
    this.#begin();
    const { tunnels } = this.#parts;
    for (const tunnel of name === null ? tunnels.all : [tunnels.get(name)]) void tunnel?.leave(drainMs);
  }

  #begin(): void {
    this.#parts.quiet();
    this.#parts.estate.sockets.leave(); // before anything closes
  }
}
