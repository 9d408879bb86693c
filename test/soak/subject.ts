import { readdirSync } from 'node:fs';
import { connectControl, type ControlClient } from '../../src/control/client.ts';
import { appPaths, pathFacts } from '../../src/files/paths.ts';
import { residentMb, cpuSeconds } from '../bench/measure.ts';
import { percentile } from '../bench/report.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** How often the supervisor is asked while a load runs. */
const ASK_EVERY_MS = 50;

/** One supervisor under load, in a home of its own, watched from outside. */
export class Subject {
  readonly cli: TunnelCli;
  readonly pid: number;
  readonly #control: ControlClient;

  private constructor(cli: TunnelCli, pid: number, control: ControlClient) {
    this.cli = cli;
    this.pid = pid;
    this.#control = control;
  }

  /** Brings these profiles up, given by name and text; they need not be up yet when this resolves. */
  static async start(profiles: Readonly<Record<string, string>>): Promise<Subject> {
    const cli = await tunnelCli();
    for (const [name, text] of Object.entries(profiles)) await cli.home.profile(name, text);
    await cli.ok('up', '--no-wait', ...Object.keys(profiles));
    const { socket } = appPaths({ ...pathFacts(cli.home.env), home: cli.home.dir });
    return new Subject(cli, await cli.supervisorPid(), await connectControl(socket, 'soak'));
  }

  get residentMb(): number {
    return residentMb([this.pid]);
  }

  get cpuSeconds(): number {
    return cpuSeconds([this.pid]);
  }

  get fileDescriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** How many of its tunnels are up. */
  async up(): Promise<number> {
    const { tunnels } = await this.#control.call('status', {});
    return tunnels.filter(({ state }) => state === 'up').length;
  }

  /**
   * Asks the supervisor over and over while the load runs. What an answer takes is what its event loop is late, and a little.
   * @returns what the load gave, and the 99th percentile of the answers in milliseconds
   */
  async answersDuring<T>(load: Promise<T>): Promise<{ readonly result: T; readonly p99Ms: number }> {
    let running = true;
    const done = load.finally(() => (running = false));
    const times: number[] = [];
    while (running) {
      const askedAtMs = performance.now();
      await this.#control.call('status', {});
      times.push(performance.now() - askedAtMs);
      await pause(ASK_EVERY_MS);
    }
    return { result: await done, p99Ms: percentile(times, 0.99) };
  }

  async stop(): Promise<void> {
    this.#control.close();
    await this.cli[Symbol.asyncDispose]();
  }
}

export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
