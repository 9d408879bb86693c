/** The C programs of this bench (native/*.c): compiled at the first use, each with its standard input held open as its life line. */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A running program that said one line: its port, or what it found. */
export interface Native {
  /** The first number of it. */
  readonly said: number;
  readonly numbers: readonly number[];
  stop(): Promise<void>;
}

type Name = 'generator' | 'client' | 'delay';

const MOST_OUTPUT = 64 * 1024 * 1024;
let folder: string | undefined;
const built = new Map<Name, string>();

/** Starts the source, sink and echo; `said` is its port. */
export function startGenerator(): Promise<Native> {
  return start('generator', []);
}

/** A path to a port of this machine on which every byte takes `delayMs` each way; `said` is its port. */
export function delayLine(targetPort: number, delayMs: number): Promise<Native> {
  return start('delay', [targetPort, delayMs]);
}

/** A client that stays until it is stopped; it says what it found when all its connections were open. */
export function startClient(
  what: 'idle' | 'busy' | 'slow' | 'push' | 'pull',
  port: number,
  count: number,
): Promise<Native> {
  return start('client', [what, port, count]);
}

/** Runs a client to its end and returns the numbers that it printed. */
export async function runClient(what: string, port: number, ...numbers: readonly number[]): Promise<number[]> {
  const words = [what, port, ...numbers].map(String);
  const { stdout } = await run(program('client'), words, { maxBuffer: MOST_OUTPUT });
  return stdout.trimEnd().split('\n').map(Number);
}

async function start(name: Name, words: readonly (string | number)[]): Promise<Native> {
  const child = spawn(program(name), words.map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const numbers = await firstLine(child, name);
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { said: numbers[0] ?? NaN, numbers, stop };
}

async function firstLine(child: ChildProcess, name: Name): Promise<number[]> {
  const line = await Promise.race([
    new Promise<Buffer>((resolve) => child.stdout?.once('data', resolve)),
    once(child, 'exit').then(() => undefined),
  ]);
  if (line === undefined) throw new Error(`The ${name} ended before it said anything`);
  return line.toString().trimEnd().split(' ').map(Number);
}

/** The path of a program, compiled for this run. */
function program(name: Name): string {
  const known = built.get(name);
  if (known !== undefined) return known;
  folder ??= runFolder();
  const file = join(folder, name);
  try {
    execFileSync('cc', ['-O2', '-o', file, join(import.meta.dirname, 'native', `${name}.c`)], { stdio: 'inherit' });
  } catch (cause) {
    throw new Error('The bench needs a C compiler: sudo apt-get install gcc libc6-dev', { cause });
  }
  built.set(name, file);
  return file;
}

function runFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'tunnel-bench-'));
  process.once('exit', () => rmSync(made, { recursive: true, force: true }));
  return made;
}
