import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ControlClient } from '../control/client.ts';
import { packageFolder } from '../files/own-package.ts';
import type { Paths } from '../files/paths.ts';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { connectIfRunning } from './find.ts';
import { openOutput, type DaemonOutput } from './output.ts';

export interface SpawnOptions {
  /** The arguments to `node` that run the supervisor; by default this program's own `daemon run`. */
  readonly command?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly withinMs?: number;
}

/** A slow disk and a cold cache included; a healthy start takes a quarter of a second. */
const STARTS_WITHIN_MS = 10_000;
const POLL_MS = 20;

/**
 * A line to the supervisor of this home, started in the background where none runs. Two callers at once end with one.
 * @throws TunnelError SUPERVISOR_UNREACHABLE with the last lines of its output when it does not start
 */
export async function connectOrSpawn(
  paths: Pick<Paths, 'lockFile' | 'stateDir' | 'logFile'>,
  version: string,
  options: SpawnOptions = {},
): Promise<{ readonly client: ControlClient; readonly spawned: boolean }> {
  const running = await connectIfRunning(paths, version);
  if (running !== undefined) return { client: running, spawned: false };
  const output = await openOutput(paths);
  try {
    const child = startDaemon(output, options);
    const client = await awaitAnswer(paths, version, child, options.withinMs ?? STARTS_WITHIN_MS);
    if (client === undefined) throw await startFailure(child, output);
    const spawned = client.supervisor?.pid === child.process.pid;
    // Another caller's was faster. Ours has not looked yet, or it would have ended: a later look could find that one gone.
    if (!spawned) child.process.kill();
    return { client, spawned };
  } finally {
    await output.close();
  }
}

interface Child {
  readonly process: ChildProcess;
  /** Set once it has ended or could not be started. */
  ended?: string;
}

function startDaemon(output: DaemonOutput, { command = ownCommand('run'), env = process.env }: SpawnOptions): Child {
  const child: Child = {
    process: spawn(process.execPath, command, {
      cwd: '/', // it must not hold a folder of somebody's, or a disk
      detached: true, // a session of its own: no Ctrl-C and no hang-up of this terminal reaches it
      env: daemonEnvironment(env),
      stdio: ['ignore', output.fd, output.fd],
      windowsHide: true,
    }),
  };
  child.process.once('error', (error) => (child.ended = error.message));
  child.process.once('exit', (status, signal) => (child.ended = signal ?? `status ${status ?? 'unknown'}`));
  child.process.unref();
  return child;
}

/** `tunnel daemon ACTION` as arguments to node, without a debugger's port, which two processes cannot share. */
export function ownCommand(action: 'run' | 'inherit'): readonly string[] {
  const flags = process.execArgv.filter((flag) => !/^--(inspect|debug)/.test(flag));
  return [...flags, fileURLToPath(new URL('bin/tunnel.js', packageFolder())), 'daemon', action];
}

/** One arena, trimmed at its end, gives back more of what was freed than one for each thread (docs/decisions/0010). */
const GIVE_BACK_MEMORY = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072' } as const;

/** What a supervisor inherits from whoever starts it. */
export function daemonEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...GIVE_BACK_MEMORY, ...withAbsoluteHome(env) };
}

/** TUNNEL_HOME may be relative to our folder, and the supervisor stands in another. */
function withAbsoluteHome(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const home = env['TUNNEL_HOME'];
  return home === undefined || home === '' ? env : { ...env, TUNNEL_HOME: resolve(home) };
}

/** Whoever wins the lock answers: our child, or another caller's. @returns undefined when neither does */
async function awaitAnswer(
  paths: Pick<Paths, 'lockFile'>,
  version: string,
  child: Child,
  withinMs: number,
): Promise<ControlClient | undefined> {
  const endsAtMs = performance.now() + withinMs;
  for (;;) {
    const hadEnded = child.ended !== undefined; // looked at first: a child that lost the race leaves a winner behind
    const client = await connectIfRunning(paths, version);
    if (client !== undefined || hadEnded || performance.now() > endsAtMs) return client;
    await sleep(POLL_MS);
  }
}

async function startFailure({ ended }: Child, output: DaemonOutput): Promise<TunnelError> {
  const lines = await output.lastLines();
  const why = ended === undefined ? 'it does not answer' : `it ended (${ended})`;
  const silence = lines.length === 0 ? await output.silencedBy() : undefined;
  if (silence !== undefined) {
    const message = `Cannot start the supervisor: ${why}. ${silence.message}`;
    return new TunnelError('SUPERVISOR_UNREACHABLE', message, { cause: silence, hint: silence.hint });
  }
  const said = lines.length === 0 ? why : lines.map((line) => cleanLine(line)).join(' / ');
  return new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot start the supervisor: ${said}`, {
    hint: `Its output is in ${output.file}; \`tunnel daemon run\` shows it here.`,
  });
}
