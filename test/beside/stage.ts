import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import type { Course, Running, Tool } from './tools.ts';
import { visit, Visitors, type Visit } from './visitors.ts';

/** One tool with a server, a path, a service and a port of its own, at which it already serves. */
export class Stage {
  readonly sshd: TestSshd;
  readonly path: FaultyPath;
  readonly target: TcpTarget;
  readonly port: number;
  readonly #tool: Tool;
  #running: Running;

  private constructor(tool: Tool, parts: Omit<Course, 'targetPort'> & { target: TcpTarget }, running: Running) {
    this.#tool = tool;
    this.sshd = parts.sshd;
    this.path = parts.path;
    this.target = parts.target;
    this.port = parts.port;
    this.#running = running;
  }

  static async open(tool: Tool): Promise<Stage> {
    const sshd = await startSshd();
    const path = await faultyPath(sshd.port);
    const target = await TcpTarget.start(echo);
    const port = await freePort();
    const running = await tool.start({ sshd, path, port, targetPort: target.port });
    const stage = new Stage(tool, { sshd, path, target, port }, running);
    if (!(await stage.servesWithin(20_000))) throw new Error(`${tool.name} never served: ${running.said}`);
    return stage;
  }

  get running(): Running {
    return this.#running;
  }

  /** Whether a client is served before the time is over; asks again until then. */
  async servesWithin(withinMs: number): Promise<boolean> {
    return (await this.servedAfterMs(withinMs)) !== undefined;
  }

  /** Milliseconds from now until a client has been served. */
  async servedAfterMs(withinMs: number): Promise<number | undefined> {
    const startedAtMs = performance.now();
    const visitors = new Visitors(this.port);
    const served = await visitors.servedAfter(startedAtMs, withinMs);
    await visitors.stop();
    return served === undefined ? undefined : served.endedAtMs - startedAtMs;
  }

  /** Clients come while `happens` runs and until one is served after it, or `forMs` more have passed. */
  async visited(happens: () => Promise<void>, forMs: number): Promise<Visited> {
    const visitors = new Visitors(this.port);
    await happens();
    const healedAtMs = performance.now();
    const served = await visitors.servedAfter(healedAtMs, forMs);
    const visits = await visitors.stop();
    return { backMs: served === undefined ? undefined : served.endedAtMs - healedAtMs, visits };
  }

  /** Starts the tool again beside whatever is left of it, with the same words. */
  async startAgain(): Promise<Running> {
    const { sshd, path, port, target } = this;
    const before = this.#running;
    const next = await this.#tool.start({ sshd, path, port, targetPort: target.port });
    this.#running = next;
    return { ...next, stop: () => Promise.all([next.stop(), before.stop()]).then(() => undefined) };
  }

  /** One client, now. */
  visit(): Promise<Visit> {
    return visit(this.port);
  }

  async close(): Promise<void> {
    await this.#running.stop();
    await this.path.close();
    await this.sshd.stop();
    await this.target.close();
  }
}

/** What clients saw of a fault: how long after its end the first was served, and all of them. */
export interface Visited {
  readonly backMs: number | undefined;
  readonly visits: readonly Visit[];
}
