import { spawn, type ChildProcess } from 'node:child_process';
import { cleanLine } from '../model/clean.ts';
import type { Clock } from '../model/clock.ts';
import type { HookCommand } from '../model/plan.ts';
import type { TunnelStatus } from '../model/status.ts';

/** A hook that takes longer is stuck: it is ended, with all that it started. */
export const HOOK_DEADLINE_MS = 30_000;
/** What a hook printed may arrive a little after its end. */
export const LAST_WORDS_MS = 500;
/** Of each run, so that a talkative hook cannot fill the log. */
const OUTPUT_LIMIT = 4096;
/** Runs that may wait behind the one at work; a tunnel that flaps faster than its hooks run loses the rest. */
const QUEUE_LIMIT = 8;

export type HookName = 'up' | 'down' | 'waiting';
type Say = (level: 'info' | 'warn', message: string) => void;

/** Runs the hooks of one tunnel, one after the other and never in the way of the tunnel: every fault becomes a note. */
export class Hooks {
  readonly #clock: Clock;
  readonly #say: Say;
  #queued = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock, say: Say) {
    this.#clock = clock;
    this.#say = say;
  }

  /** Resolves once no hook runs or waits. */
  get idle(): Promise<void> {
    return this.#last;
  }

  run(hook: HookName, command: HookCommand | null, status: TunnelStatus): void {
    if (command === null) return;
    if (this.#queued >= QUEUE_LIMIT) return this.#say('warn', `Hook ${hook} was left out: ${QUEUE_LIMIT} others wait`);
    this.#queued += 1;
    this.#last = this.#last.then(() => this.#runOne(hook, command, status)).then(() => void (this.#queued -= 1));
  }

  /** Never rejects. */
  async #runOne(hook: HookName, command: HookCommand, status: TunnelStatus): Promise<void> {
    try {
      const { end, output } = await runCommand(command, { ...process.env, ...hookFacts(hook, status) }, this.#clock);
      for (const line of output.split('\n'))
        if (line.trim() !== '') this.#say('info', `Hook ${hook}: ${cleanLine(line)}`);
      if (end !== undefined) this.#say('warn', `Hook ${hook} ${end}`);
    } catch (error) {
      this.#say(
        'warn',
        `Cannot run hook ${hook}: ${cleanLine(error instanceof Error ? error.message : String(error))}`,
      );
    }
  }
}

/** What a hook finds in its environment. No field of a status can hold a secret. */
export function hookFacts(hook: HookName, status: TunnelStatus): Record<string, string> {
  const { name, state, via, lastError, forwards } = status;
  return {
    TUNNEL_HOOK: hook,
    TUNNEL_NAME: name,
    TUNNEL_STATE: state,
    TUNNEL_VIA: via ?? '',
    TUNNEL_FORWARDS: forwards.map(({ bind, target }) => `${bind} -> ${target}`).join('\n'),
    TUNNEL_ERROR_CODE: lastError?.code ?? '',
    TUNNEL_ERROR: lastError?.message ?? '',
  };
}

/** @returns its output, and in words how it ended where that was not well */
function runCommand(
  command: HookCommand,
  env: NodeJS.ProcessEnv,
  clock: Clock,
): Promise<{ end: string | undefined; output: string }> {
  return new Promise((resolve, reject) => {
    const child = start(command, env);
    let output = '';
    let late = false;
    let cancel = clock.after(HOOK_DEADLINE_MS, () => {
      late = true;
      killGroup(child);
    });
    const keep = (text: string): void => void (output = (output + text).slice(0, OUTPUT_LIMIT));
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
    child.once('error', (error) => {
      cancel();
      reject(error);
    });
    // What the hook left in the background may hold the pipes open for ever: 'close' is waited for a moment only.
    child.once('exit', () => {
      cancel();
      cancel = clock.after(LAST_WORDS_MS, () => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      });
    });
    child.once('close', (status, signal) => {
      cancel();
      const end = late ? `took longer than ${HOOK_DEADLINE_MS / 1000} s and was ended` : howItEnded(status, signal);
      resolve({ end, output });
    });
  });
}

/** A group of its own: the deadline ends what the hook started too, and Ctrl-C in the foreground does not reach it. */
function start(command: HookCommand, env: NodeJS.ProcessEnv): ChildProcess {
  const options = { env, stdio: ['ignore', 'pipe', 'pipe'] as const, detached: process.platform !== 'win32' };
  if (typeof command === 'string') {
    return spawn(command, { ...options, stdio: [...options.stdio], shell: env['SHELL'] ?? true });
  }
  const [program = '', ...args] = command;
  return spawn(program, args, { ...options, stdio: [...options.stdio] });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error; // it ended meanwhile
  }
}

function howItEnded(status: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal !== null) return `was ended by ${signal}`;
  return status === 0 ? undefined : `ended with status ${status}`;
}
