import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { StatusSnapshot, TunnelStatus } from '../../src/model/status.ts';
import { eventually } from './eventually.ts';
import { tempHome, type TempHome } from './temp-home.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const TUNNEL = fileURLToPath(new URL('../../bin/tunnel.js', import.meta.url));

/** The built command, living in a home of its own; the supervisor that it started ends with it: `await using`. */
export class TunnelCli {
  readonly home: TempHome;

  constructor(home: TempHome) {
    this.home = home;
  }

  /** Runs `tunnel ARGS` without a terminal and returns what it printed. */
  run(...args: readonly string[]): Promise<Ran> {
    return this.runWith({}, ...args);
  }

  /** As `run`, with more in the environment, another folder, or something on standard input. */
  runWith(
    { env = {}, cwd = this.home.dir, stdin = '' }: { env?: Record<string, string>; cwd?: string; stdin?: string },
    ...args: readonly string[]
  ): Promise<Ran> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [TUNNEL, ...args], { env: { ...this.home.env, ...env }, cwd });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
      child.stdin.on('error', () => undefined); // it may end without having read it, and its exit code tells why
      child.stdin.end(stdin);
    });
  }

  /** As `run`, and fails with everything it said where it does not end with 0. */
  async ok(...args: readonly string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.code !== 0) throw new Error(`tunnel ${args.join(' ')} ended with ${ran.code}:\n${ran.stdout}${ran.stderr}`);
    return ran;
  }

  /** What `tunnel logs NAME` prints once the words are in it: lines of finished connections are written a moment late. */
  logged(name: string, words: string | RegExp): Promise<string> {
    const look = async (): Promise<string | undefined> => {
      const { stdout } = await this.ok('logs', name);
      return (typeof words === 'string' ? stdout.includes(words) : words.test(stdout)) ? stdout : undefined;
    };
    return eventually(look, { withinMs: 10_000, what: `${String(words)} in the log of ${name}` });
  }

  async snapshot(...names: readonly string[]): Promise<StatusSnapshot> {
    return JSON.parse((await this.ok('status', '--json', ...names)).stdout) as StatusSnapshot;
  }

  async status(name: string): Promise<TunnelStatus> {
    const found = (await this.snapshot(name)).tunnels.find((tunnel) => tunnel.name === name);
    if (found === undefined) throw new Error(`status does not show ${name}`);
    return found;
  }

  /** Waits until `tunnel status` shows this state. */
  becomes(name: string, state: TunnelStatus['state'], withinMs = 8_000): Promise<TunnelStatus> {
    return eventually(
      async () => {
        const now = await this.status(name);
        if (now.state !== state) throw new Error(`${name} is ${now.state}: ${now.lastError?.message ?? 'no error'}`);
        return now;
      },
      { withinMs },
    );
  }

  /** The port that a forward of the tunnel is really bound to. */
  async port(name: string, forward = 0): Promise<number> {
    const bind = (await this.status(name)).forwards[forward]?.bind ?? '';
    return Number(/:(\d+)$/.exec(bind)?.[1]);
  }

  /** Process id of the supervisor that runs in this home. */
  async supervisorPid(): Promise<number> {
    const { supervisor } = await this.snapshot();
    if (supervisor === null) throw new Error('No supervisor runs');
    return supervisor.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('daemon', 'stop');
    await this.home.remove();
  }
}

export async function tunnelCli(): Promise<TunnelCli> {
  return new TunnelCli(await tempHome());
}
