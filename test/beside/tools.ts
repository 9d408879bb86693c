/** The tools that meet the same faults, each with a keepalive of 2 s x 3 and a server, path and port of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { FaultyPath } from '../support/faulty-path.ts';
import { descendants, type TestSshd } from '../support/sshd.ts';
import { tempHome, viaSshd } from '../support/temp-home.ts';

/** What a tool is given: a server behind a path, and the way that it is to make. */
export interface Course {
  readonly sshd: TestSshd;
  readonly path: FaultyPath;
  readonly port: number;
  readonly targetPort: number;
}

/** A tool that has been started; whether it serves is seen at its port. */
export interface Running {
  /** Everything that it printed. */
  readonly said: string;
  /** Its process and those that it started. */
  pids(): Promise<readonly number[]>;
  /** Ends the tool's own process as a crash does, and nothing that it started. */
  crash(): Promise<void>;
  /** Ends the tool and what it left behind. */
  stop(): Promise<void>;
}

export interface Tool {
  readonly name: string;
  start(course: Course): Promise<Running>;
}

/** Otherwise autossh gives up for good where its first ssh ends within 30 s. */
const TIRELESS = { ...process.env, AUTOSSH_GATETIME: '0' };

export const TOOLS: readonly Tool[] = [
  { name: 'tunnel', start: startTunnel },
  { name: 'ssh -N -L', start: (course) => Promise.resolve(run('ssh', sshWords(course))) },
  { name: 'autossh', start: (course) => Promise.resolve(run('autossh', ['-M', '0', ...sshWords(course)], TIRELESS)) },
];

async function startTunnel({ sshd, path, port, targetPort }: Course): Promise<Running> {
  const home = await tempHome();
  const forward = `forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${targetPort}\n`;
  await home.profile('beside', `${viaSshd(sshd, path.port)}${forward}keepalive: { interval: 2s, maxMissed: 3 }\n`);
  const words = ['bin/tunnel.js', 'up', 'beside', '--foreground'];
  return run(process.execPath, words, home.env, () => home.remove());
}

function sshWords({ sshd, path, port, targetPort }: Course): string[] {
  return [
    ...['-N', '-F', 'none', '-i', sshd.identityFile, '-o', 'IdentityAgent=none', '-o', 'BatchMode=yes'],
    ...['-o', 'ServerAliveInterval=2', '-o', 'ServerAliveCountMax=3', '-o', 'ExitOnForwardFailure=yes'],
    ...['-o', `UserKnownHostsFile=${sshd.knownHostsFile}`, '-p', String(path.port)],
    ...['-L', `127.0.0.1:${port}:127.0.0.1:${targetPort}`, `${sshd.user}@127.0.0.1`],
  ];
}

function run(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  cleanUp: () => Promise<void> = () => Promise.resolve(),
): Running {
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const left = new Set<number>();
  return {
    get said() {
      return said;
    },
    pids: () => family(child),
    async crash() {
      for (const pid of await family(child)) if (pid !== child.pid) left.add(pid);
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
      for (const pid of left) endIfThere(pid);
      await cleanUp();
    },
  };
}

async function family({ pid, exitCode, signalCode }: ChildProcess): Promise<readonly number[]> {
  if (pid === undefined || exitCode !== null || signalCode !== null) return [];
  return [pid, ...(await descendants(pid))];
}

/** What a crashed tool left behind was started by this run, so it is this run's to end. */
function endIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
