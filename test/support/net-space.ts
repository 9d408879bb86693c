import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** A network namespace: a machine of its own as far as addresses, routes and ports go. Needs root. `await using`. */
export class NetSpace {
  readonly #holder: ChildProcess;
  readonly #running = new Set<ChildProcess>();

  constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  /** It lives as long as its holder, a process that only waits; the kernel removes what was in it with it. */
  static async create(): Promise<NetSpace> {
    const holder = spawn('unshare', ['-n', 'sh', '-c', 'ip link set lo up && echo ready && exec sleep infinity'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    return new NetSpace(holder);
  }

  /** A cable to another one: `name` here and `peer` there, each with its addresses (`10.9.1.1/24`). */
  async cable(name: string, addresses: readonly string[], other: NetSpace, peer: string, others: readonly string[]) {
    await this.run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer, 'netns', String(other.#pid));
    await this.#raise(name, addresses);
    await other.#raise(peer, others);
  }

  /** The command line that runs something in here. */
  line(...argv: readonly string[]): [command: string, args: string[]] {
    return ['nsenter', ['-t', String(this.#pid), '-n', ...argv]];
  }

  /** Runs it to its end. @returns what it printed. Rejects where it fails. */
  async run(...argv: readonly string[]): Promise<string> {
    return (await exec(...this.line(...argv))).stdout;
  }

  /** Starts a program that ends with this namespace at the latest. */
  start(...argv: readonly string[]): ChildProcess {
    const child = spawn(...this.line(...argv), { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return child;
  }

  /** Whether somebody listens at that port. */
  async listens(port: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<boolean> {
    return (await this.run('ss', protocol === 'tcp' ? '-Hltn' : '-Hlun', 'sport', '=', `:${port}`)) !== '';
  }

  get #pid(): number {
    if (this.#holder.pid === undefined) throw new Error('The namespace has not begun');
    return this.#holder.pid;
  }

  async #raise(name: string, addresses: readonly string[]): Promise<void> {
    for (const address of addresses) await this.run('ip', 'address', 'add', address, 'dev', name);
    await this.run('ip', 'link', 'set', name, 'up');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [...this.#running, this.#holder]) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  }
}
