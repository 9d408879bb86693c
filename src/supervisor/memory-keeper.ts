import { asTunnelError } from '../model/failure.ts';
import { NOTHING_REMEMBERED, type SupervisorMemory, type WantedTunnel } from '../model/memory.ts';
import type { StateStore } from './deps.ts';

/**
 * The supervisor's memory and its way to disk. A disk that refuses costs the memory, never a tunnel. Whoever restores
 * what was wanted owns that list from then on; a supervisor that never did (`--foreground`, a program) leaves it as it
 * found it, and keeps its ports only.
 */
export class MemoryKeeper {
  readonly #store: StateStore;
  readonly #wanted: () => readonly WantedTunnel[];
  readonly #onProblem: (message: string) => void;
  readonly #ports = new Map<string, Map<string, number>>();
  /** Tunnels whose ports were chosen here rather than read. */
  readonly #chosen = new Set<string>();
  #authSock: string | undefined;
  #queued: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  #frozen = false;
  #recalled: Promise<SupervisorMemory> | undefined;
  #owner = false;

  /** @param wanted what is wanted at the moment of writing */
  constructor(store: StateStore, wanted: () => readonly WantedTunnel[], onProblem: (message: string) => void) {
    this.#store = store;
    this.#wanted = wanted;
    this.#onProblem = onProblem;
  }

  get authSock(): string | undefined {
    return this.#authSock;
  }

  /** A caller without an agent (cron, a service) takes nobody's agent away. */
  heedAuthSock(path: string | undefined): void {
    if (path !== undefined && path !== '') this.#authSock = path;
  }

  port(tunnel: string, forward: string): number | undefined {
    return this.#ports.get(tunnel)?.get(forward);
  }

  keepPort(tunnel: string, forward: string, port: number): void {
    if (this.port(tunnel, forward) === port) return;
    const ports = this.#ports.get(tunnel) ?? new Map<string, number>();
    this.#ports.set(tunnel, ports.set(forward, port));
    this.#chosen.add(tunnel);
    void this.save();
  }

  /** What the file held when it was first asked for. Never rejects. */
  recall(): Promise<SupervisorMemory> {
    this.#recalled ??= this.#load();
    return this.#recalled;
  }

  /** As `recall`, and from now on what is wanted here is what the file says. */
  async takeOver(): Promise<SupervisorMemory> {
    const memory = await this.recall();
    this.#owner = true;
    this.#authSock ??= memory.authSock;
    return memory;
  }

  /** Resolves once the memory as it is now, or later, is on disk or was refused. Never rejects. */
  save(): Promise<void> {
    if (this.#frozen) return this.#last;
    this.#queued ??= this.#last.then(() => this.#write());
    this.#last = this.#queued;
    return this.#queued;
  }

  /** The last save: what happens from now on (the tunnels of a leaving supervisor stop) changes nothing that was wanted. */
  async freeze(): Promise<void> {
    const saved = this.save();
    await saved;
    this.#frozen = true;
  }

  /** Takes `freeze` back. */
  thaw(): void {
    this.#frozen = false;
  }

  async #load(): Promise<SupervisorMemory> {
    try {
      const { memory, problem } = await this.#store.load();
      if (problem !== undefined) this.#onProblem(problem);
      for (const [tunnel, ports] of Object.entries(memory.ports)) {
        this.#ports.set(tunnel, new Map([...Object.entries(ports), ...(this.#ports.get(tunnel) ?? [])]));
      }
      return memory;
    } catch (error) {
      this.#onProblem(asTunnelError(error).message);
      return NOTHING_REMEMBERED;
    }
  }

  async #write(): Promise<void> {
    await this.recall(); // what was never read must not be written over
    this.#queued = undefined;
    const ports = Object.fromEntries([...this.#ports].map(([name, kept]) => [name, Object.fromEntries(kept)]));
    try {
      if (!this.#owner) return await this.#writePorts(ports);
      const authSock = this.#authSock === undefined ? {} : { authSock: this.#authSock };
      await this.#store.save({ wanted: this.#wanted(), ...authSock, ports });
    } catch (error) {
      this.#onProblem(asTunnelError(error).message);
    }
  }

  /** Another supervisor may own the rest: what it wrote last is kept. The moment between read and write stays a race. */
  async #writePorts(ports: SupervisorMemory['ports']): Promise<void> {
    const own = Object.fromEntries(Object.entries(ports).filter(([tunnel]) => this.#chosen.has(tunnel)));
    if (this.#chosen.size === 0) return;
    const { memory } = await this.#store.load();
    await this.#store.save({ ...memory, ports: { ...memory.ports, ...own } });
  }
}
