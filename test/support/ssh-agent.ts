import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';

const run = promisify(execFile);

/** A real ssh-agent with a socket in the given folder; ends with the test: `await using`. */
export class TestAgent {
  readonly socket: string;
  readonly #child: ChildProcess;

  private constructor(socket: string, child: ChildProcess) {
    this.socket = socket;
    this.#child = child;
  }

  static async start(folder: string): Promise<TestAgent> {
    const socket = join(folder, `agent-${process.pid}-${Date.now()}`);
    const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    const agent = new TestAgent(socket, child);
    await eventually(() => agent.#add('-l').then(() => true), { what: 'ssh-agent' });
    return agent;
  }

  /** Loads a key without a passphrase, and its certificate where one stands beside it. */
  async add(file: string): Promise<void> {
    await this.#add('-q', file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill();
    await ended;
  }

  async #add(...args: readonly string[]): Promise<void> {
    try {
      await run('ssh-add', [...args], { env: { ...process.env, SSH_AUTH_SOCK: this.socket } });
    } catch (error) {
      if ((error as { code?: unknown }).code === 1 && args[0] === '-l') return; // it answers that it holds no key
      throw error;
    }
  }
}
