import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { connectControl, type ControlClient } from '../../src/control/client.ts';
import type { ControlHandlers, Peer } from '../../src/control/connection.ts';
import { serveControl, type ControlServer } from '../../src/control/server.ts';
import type { StatusEvent, TunnelStatus } from '../../src/model/status.ts';

export const AT = '2026-08-14T10:00:00.000Z';

export function statusOf(
  name: string,
  state: TunnelStatus['state'],
  changes: Partial<TunnelStatus> = {},
): TunnelStatus {
  const quiet = { since: AT, via: 'alice@pop.example.org', latencyMs: null, reconnects: 0, nextRetryAt: null };
  return { name, state, ...quiet, lastError: null, forwards: [], ...changes };
}

/** The supervisor's end of the control socket, with a test in the place of the supervisor. */
export class ScriptedSupervisor {
  /** What was asked, in order: `method` and its parameters. */
  readonly asked: [string, unknown][] = [];
  readonly #tunnels: readonly TunnelStatus[];
  #server: ControlServer | undefined;
  #peer: Peer | undefined;

  constructor(tunnels: readonly TunnelStatus[]) {
    this.#tunnels = tunnels;
  }

  /** Serves in `dir`, and connects to it. The caller closes the client and this. */
  async start(dir: string, handlers: Partial<ControlHandlers> = {}): Promise<ControlClient> {
    const socket = join(dir, 'run', 's.sock');
    const identity = { version: '1.2.3', pid: 4711, startedAt: AT };
    this.#server = await serveControl({
      socket,
      prepareFolder: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
      identity,
      handlers: { ...this.#handlers(), ...handlers },
      onFault: (error) => {
        throw error;
      },
    });
    return connectControl(socket, '1.2.3');
  }

  tell(status: TunnelStatus): void {
    this.event({ event: 'tunnel', at: AT, tunnel: status.name, status });
  }

  event(event: StatusEvent): void {
    this.#peer?.notify('event', event);
  }

  ask(id: string, kind: 'password' | 'host-key' = 'password'): void {
    const subject = 'alice@pop.example.org:22';
    const question = { id, tunnel: 'a', kind, subject, prompt: `Password for ${subject}:`, detail: '', echo: false };
    this.#peer?.notify('question', question);
  }

  withdraw(id: string): void {
    this.#peer?.notify('withdrawn', { id });
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }

  #handlers(): ControlHandlers {
    const snapshot = {
      version: 1,
      supervisor: { pid: 4711, startedAt: AT, version: '1.2.3' },
      tunnels: this.#tunnels,
    } as const;
    const note =
      <T>(method: string, result: T) =>
      (params: unknown): T => {
        this.asked.push([method, params]);
        return result;
      };
    return {
      up: note('up', { tunnels: [] }),
      down: note('down', { tunnels: [] }),
      restart: note('restart', { tunnels: [] }),
      reload: note('reload', { tunnels: [] }),
      status: note('status', snapshot),
      subscribe: (_params, peer) => {
        this.#peer = peer;
        return snapshot;
      },
      attend: note('attend', { waiting: [] }),
      answer: note('answer', { accepted: true }),
      decline: note('decline', { accepted: true }),
      handOver: note('handOver', { pid: 1 }),
      stop: note('stop', {}),
    };
  }
}
