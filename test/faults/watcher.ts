import { createServer } from 'node:net';
import { connectControl } from '../../src/control/client.ts';
import { ask } from '../support/clients.ts';
import type { Laboratory } from './laboratory.ts';

/** What `status` said of the tunnel, when it was asked and when the answer was here. */
export interface Sample {
  readonly atMs: number;
  readonly endedMs: number;
  readonly state: string;
}

/** A client that only wants to know whether the tunnel works. */
export interface Probe {
  readonly atMs: number;
  readonly endedMs: number;
  readonly works: boolean;
}

const LOOK_EVERY_MS = 100;
const PROBE_EVERY_MS = 300;
/** The wait for a channel, and some more. */
const PROBE_MS = 6_000;

/**
 * Somebody who watches the tunnel from outside while faults happen: asks for its status all the time, uses it, and tries to
 * take its port. Stopped by whoever made it.
 */
export class Watcher {
  readonly samples: Sample[] = [];
  readonly probes: Probe[] = [];
  /** When the port could be taken although it was the tunnel's. */
  readonly stolenAtMs: number[] = [];
  readonly #lab: Laboratory;
  readonly #loops: Promise<void>[] = [];
  #running = true;
  /** Faults now that give the port up. */
  #open = 0;

  constructor(lab: Laboratory) {
    this.#lab = lab;
    this.#loops.push(
      this.#every(LOOK_EVERY_MS, () => this.#look()),
      this.#every(PROBE_EVERY_MS, () => this.#probe()),
      this.#every(LOOK_EVERY_MS / 2, () => this.#steal()),
    );
  }

  /** The port is nobody's until the result is called. */
  giveUpPort(): () => void {
    this.#open += 1;
    return () => (this.#open -= 1);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  async #every(pauseMs: number, work: () => Promise<void>): Promise<void> {
    while (this.#running) {
      await work();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  async #look(): Promise<void> {
    const atMs = performance.now();
    try {
      const { socket } = await this.#lab.supervisor();
      const client = await connectControl(socket, 'laboratory', { withinMs: 400 });
      try {
        const { tunnels } = await client.call('status', {}, AbortSignal.timeout(400));
        const state = tunnels.find(({ name }) => name === 't')?.state ?? 'stopped';
        this.samples.push({ atMs, endedMs: performance.now(), state });
      } finally {
        client.close();
      }
    } catch {
      this.samples.push({ atMs, endedMs: performance.now(), state: 'unknown' }); // it sleeps, or was killed
    }
  }

  async #probe(): Promise<void> {
    const atMs = performance.now();
    const late = new Promise<string>((resolve) => setTimeout(() => resolve('late'), PROBE_MS));
    const said = await Promise.race([ask(this.#lab.port, 'probe').catch(() => 'cut'), late]);
    this.probes.push({ atMs, endedMs: performance.now(), works: said === 'probe' });
  }

  async #steal(): Promise<void> {
    if (this.#open > 0) return;
    const thief = createServer();
    const taken = await new Promise<boolean>((resolve) => {
      thief.once('error', () => resolve(false));
      thief.listen(this.#lab.port, '127.0.0.1', () => resolve(true));
    });
    if (!taken) return;
    if (this.#open === 0) this.stolenAtMs.push(performance.now());
    await new Promise((resolve) => thief.close(resolve));
  }
}
