import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';
import { standingStill } from './standing-still.ts';

const run = promisify(execFile);

/** A real ssh-agent at a path of its own. The caller stops it. */
export class TestAgent {
  readonly socket: string;
  #child: ChildProcess | undefined;

  private constructor(socket: string) {
    this.socket = socket;
  }

  static async start(socket: string): Promise<TestAgent> {
    const agent = new TestAgent(socket);
    await agent.start();
    return agent;
  }

  /** Starts it, anew after `stop`, without a key. */
  async start(): Promise<void> {
    this.#child = spawn('ssh-agent', ['-D', '-a', this.socket], { stdio: 'ignore' });
    // 1: it answers, and holds no key.
    await eventually(
      () =>
        this.#add('-l').then(
          () => true,
          (error: unknown) => codeOf(error) === 1,
        ),
      { withinMs: 15_000, what: 'the agent' },
    );
  }

  async add(keyFile: string): Promise<void> {
    await this.#add('-q', keyFile);
  }

  /** Holds still, as an agent whose dialog waits somewhere unseen. */
  async freeze(): Promise<void> {
    this.#child?.kill('SIGSTOP');
    await standingStill(this.#child?.pid ?? 0);
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    await rm(this.socket, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #add(...args: readonly string[]): Promise<unknown> {
    return run('ssh-add', [...args], { env: { PATH: process.env['PATH'], SSH_AUTH_SOCK: this.socket } });
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
