/** The programs that are measured side by side, each with a tunnel to the same port through the same sshd. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { descendants, freePort, type TestSshd } from '../support/sshd.ts';
import { tempHome, viaSshd } from '../support/temp-home.ts';
import { firstByteUs } from './measure.ts';

export interface Contestant {
  readonly name: string;
  readonly port: number;
  /** Its process and those that it started. */
  pids(): Promise<readonly number[]>;
  stop(): Promise<void>;
}

/** Where the tunnel of a contestant goes. */
export interface Course {
  readonly sshd: TestSshd;
  /** The port at which the server is reached: its own, or a delay line's. */
  readonly sshPort: number;
  readonly targetPort: number;
  /** undefined: what a person gets who asks for nothing. */
  readonly cipher: string | undefined;
}

export type Start = (course: Course) => Promise<Contestant>;

/** `tunnel` as it is built. */
export function startTunnel(course: Course): Promise<Contestant> {
  return startProgram('tunnel', ['bin/tunnel.js'], course);
}

/** `tunnel` in the foreground, with room for many connections. @param program what node is given to run it */
export async function startProgram(
  name: string,
  program: readonly string[],
  { sshd, sshPort, targetPort, cipher }: Course,
): Promise<Contestant> {
  const home = await tempHome();
  const port = await freePort();
  const ciphers = cipher === undefined ? '' : `    ciphers: [${cipher}]\n`;
  const limits = 'limits: { connections: 10000, perClient: 10000 }\n';
  const forwards = `forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${targetPort}\n`;
  await home.profile('bench', `${viaSshd(sshd, sshPort)}${ciphers}${limits}${forwards}`);
  const words = [...program, 'up', 'bench', '--foreground', '--quiet'];
  return contestant(name, port, spawnQuiet(process.execPath, words, home.env), () => home.remove());
}

export async function startSsh(course: Course): Promise<Contestant> {
  const port = await freePort();
  return contestant('ssh -L', port, spawnQuiet('ssh', sshWords(course, port)));
}

/** autossh without its monitoring port, as its own manual advises beside ServerAliveInterval. */
export async function startAutossh(course: Course): Promise<Contestant> {
  const port = await freePort();
  return contestant('autossh', port, spawnQuiet('autossh', ['-M', '0', ...sshWords(course, port)]));
}

export async function startPlink({ sshd, sshPort, targetPort }: Course): Promise<Contestant> {
  const port = await freePort();
  const key = join(sshd.dir, 'user_key.ppk');
  execFileSync('puttygen', [sshd.identityFile, '-o', key], { stdio: 'ignore' });
  const print = execFileSync('ssh-keygen', ['-l', '-f', join(sshd.dir, 'host_ed25519.pub')], { encoding: 'utf8' });
  const words = ['-N', '-batch', '-noagent', '-i', key, '-hostkey', print.split(' ')[1] ?? '', '-P', String(sshPort)];
  const forward = ['-L', `127.0.0.1:${port}:127.0.0.1:${targetPort}`, `${sshd.user}@127.0.0.1`];
  return contestant('plink', port, spawnQuiet('plink', [...words, ...forward]));
}

export async function startTunnelSsh({ sshd, sshPort, targetPort }: Course): Promise<Contestant> {
  const port = await freePort();
  const facts = { port, sshPort, user: sshd.user, identityFile: sshd.identityFile, targetPort };
  const words = ['--import', 'tsx', 'test/bench/tunnel-ssh-peer.ts', JSON.stringify(facts)];
  return contestant('tunnel-ssh', port, spawnQuiet(process.execPath, words));
}

/** Whether a program is installed; a peer that is not is left out, and said so. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

function sshWords({ sshd, sshPort, targetPort, cipher }: Course, port: number): string[] {
  return [
    ...['-N', '-F', 'none', '-i', sshd.identityFile, '-o', 'IdentityAgent=none'],
    ...(cipher === undefined ? [] : ['-o', `Ciphers=${cipher}`]),
    ...['-o', `UserKnownHostsFile=${sshd.knownHostsFile}`, '-o', 'BatchMode=yes', '-o', 'ExitOnForwardFailure=yes'],
    ...['-L', `127.0.0.1:${port}:127.0.0.1:${targetPort}`, '-p', String(sshPort), `${sshd.user}@127.0.0.1`],
  ];
}

export function spawnQuiet(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  return spawn(program, words, { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** A program that was just started, once it is ready. @throws Error where that takes more than 20 s; it is stopped then */
export async function contestant(
  name: string,
  port: number,
  child: ChildProcess,
  cleanUp: () => Promise<void> = () => Promise.resolve(),
  isReady: (port: number) => Promise<unknown> = (at) => firstByteUs(at, 1),
): Promise<Contestant> {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} did not start`);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    await cleanUp();
  };
  try {
    await eventually(() => isReady(port), { withinMs: 20_000, what: `${name} on port ${port}` });
  } catch (cause) {
    await stop();
    throw new Error(`${name} was not ready on port ${port} within 20 s`, { cause });
  }
  return { name, port, pids: async () => [pid, ...(await descendants(pid))], stop };
}
