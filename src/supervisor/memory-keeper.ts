import { asTunnelError, type TunnelError } from '../model/failure.ts';
import { NOTHING_REMEMBERED, type SupervisorMemory, type WantedTunnel } from '../model/memory.ts';
import type { StateStore } from './deps.ts';

/** The supervisor's memory and its way to disk. A disk that refuses costs the memory, never a tunnel. */
export class MemoryKeeper {
  readonly #store: StateStore;
  readonly #wanted: () => readonly WantedTunnel[];
  readonly #onProblem: (error: TunnelError) => void;
  readonly #ports = new Map<string, Map<string, number>>();
  #authSock: string | undefined;
  #queued: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  #frozen = false;

  /** @param wanted what is wanted at the moment of writing */
  constructor(store: StateStore, wanted: () => readonly WantedTunnel[], onProblem: (error: TunnelError) => void) {
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
    void this.save();
  }

  /** Reads what the supervisor before knew, and says what became of a damaged file. Never rejects. */
  async load(): Promise<SupervisorMemory & { readonly problem?: string }> {
    try {
      const { memory, problem } = await this.#store.load();
      for (const [tunnel, ports] of Object.entries(memory.ports))
        this.#ports.set(tunnel, new Map(Object.entries(ports)));
      this.#authSock ??= memory.authSock;
      return { ...memory, ...(problem === undefined ? {} : { problem }) };
    } catch (error) {
      return { ...NOTHING_REMEMBERED, problem: asTunnelError(error).message };
    }
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

  async #write(): Promise<void> {
    this.#queued = undefined;
    const ports = Object.fromEntries([...this.#ports].map(([name, kept]) => [name, Object.fromEntries(kept)]));
    const authSock = this.#authSock === undefined ? {} : { authSock: this.#authSock };
    try {
      await this.#store.save({ wanted: this.#wanted(), ...authSock, ports });
    } catch (error) {
      this.#onProblem(asTunnelError(error));
    }
  }
}
