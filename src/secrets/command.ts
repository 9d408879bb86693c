import { spawn, type ChildProcess } from 'node:child_process';
import { basename } from 'node:path';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { Secret } from '../model/secret.ts';

/** A password manager may ask for a touch or its own password; longer than this nobody is there. */
const COMMAND_WITHIN_MS = 30_000;
/** A secret is a line; whoever prints more than this prints something else. */
const LARGEST_BYTES = 64 * 1024;
const ERROR_TEXT_BYTES = 4096;

/**
 * Runs a command, without a shell, and takes the first line that it prints. Ends it, with what it started, when the
 * time is up or the signal aborts.
 * @throws TunnelError SECRET_STORE with what the command wrote to stderr, never with what it printed; the signal's reason
 */
export async function secretFromCommand(
  argv: readonly string[],
  signal: AbortSignal,
  withinMs = COMMAND_WITHIN_MS,
): Promise<Secret> {
  signal.throwIfAborted();
  const [program = '', ...args] = argv;
  const output = await run(program, args, signal, withinMs);
  const [line = ''] = output.split(/\r?\n/, 1);
  if (line === '') throw failure(program, 'it printed nothing');
  if (line.includes('\0')) throw failure(program, 'it printed a NUL');
  return new Secret(line);
}

function run(program: string, args: readonly string[], signal: AbortSignal, withinMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    // A session of its own, so that all that it starts can be ended with it.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, windowsHide: true });
    const printed: Buffer[] = [];
    let printedBytes = 0;
    let errorText = Buffer.alloc(0);
    const settle = (finish: () => void): void => {
      clearTimeout(patience);
      signal.removeEventListener('abort', aborted);
      finish();
    };
    const giveUp = (reason: Error): void => {
      endGroup(child);
      settle(() => reject(reason));
    };
    const aborted = (): void => giveUp(signal.reason as Error);
    const patience = setTimeout(() => giveUp(failure(program, `it took longer than ${withinMs / 1000} s`)), withinMs);
    signal.addEventListener('abort', aborted);
    child.stdout.on('data', (chunk: Buffer) => {
      printed.push(chunk);
      printedBytes += chunk.length;
      if (printedBytes > LARGEST_BYTES) giveUp(failure(program, 'it printed far more than a secret'));
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errorText = Buffer.concat([errorText, chunk]).subarray(-ERROR_TEXT_BYTES);
    });
    child.once('error', (error: NodeJS.ErrnoException) =>
      settle(() => reject(failure(program, startReason(error), '', error))),
    );
    child.once('close', (status, endedBy) => {
      if (status === 0) return settle(() => resolve(Buffer.concat(printed).toString('utf8')));
      const how = endedBy === null ? `it ended with status ${status}` : `it was ended by ${endedBy}`;
      settle(() => reject(failure(program, how, errorText.toString('utf8'))));
    });
  });
}

/** The group has the child's pid. ESRCH: all of it has ended already. */
function endGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill();
    else process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function startReason(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'there is no such program';
  return error.code === 'EACCES' ? 'permission denied' : (error.code ?? error.message);
}

/** Names the program and not its arguments: some of those are nobody else's business. */
function failure(program: string, why: string, errorText = '', cause?: unknown): TunnelError {
  const said = errorText.trim() === '' ? '' : `: ${cleanLine(errorText)}`;
  return new TunnelError('SECRET_STORE', `Cannot get a secret from ${cleanLine(basename(program))}: ${why}${said}`, {
    cause,
    hint: 'Run the command by hand; its first line must be the secret.',
  });
}
