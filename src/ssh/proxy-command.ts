import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { cleanLine } from '../model/clean.ts';

/** Lines of stderr passed on for one connection; a command in a loop must not flood the log. */
const MOST_NOTES = 20;
/** The exit status comes within a few milliseconds of the end of the output, if the machine has time for it. */
const EXIT_WAIT_MS = 500;

/**
 * A connection whose two ends are a command's stdin and stdout (ssh_config(5), ProxyCommand). The line runs as ssh runs
 * it: by the person's shell, with `exec`, so that the shell itself goes away. Destroying the stream ends the command.
 */
export class ProxyCommand extends Duplex {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #bytesRead = 0;
  #bytesWritten = 0;
  #finished = false;
  #notes = 0;
  #stderr = '';
  /** Why the command ended, in words, once it has. */
  exitReason: string | undefined;

  /** @param onNote gets the command's stderr, cleaned, a line at a time */
  constructor(line: string, onNote: (message: string) => void) {
    super({ allowHalfOpen: false });
    this.#child = launch(line);
    const { stdin, stdout, stderr } = this.#child;
    stdout.on('data', (chunk: Buffer) => {
      this.#bytesRead += chunk.length;
      if (!this.push(chunk)) stdout.pause();
    });
    stdout.on('end', () => this.#finish());
    stdin.on('error', (error: Error) => this.#broken(error)); // EPIPE: the command closed its stdin or ended
    stdout.on('error', (error: Error) => this.destroy(error));
    stderr.setEncoding('utf8').on('data', (text: string) => this.#hear(text, onNote));
    stderr.on('error', () => undefined); // its text is a courtesy; the end of the command is told by `exit`
    this.#child.on('error', (error) => this.destroy(error));
    this.#child.on('exit', (code, signal) => {
      this.exitReason = signal === null ? `it ended with status ${code ?? 0}` : `it was ended by ${signal}`;
      if (stdout.readableEnded) this.#finish();
    });
  }

  /** Bytes that came from the server so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes that went to the server so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#bytesWritten += chunk.length;
    if (this.#child.stdin.write(chunk)) done();
    else this.#child.stdin.once('drain', () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end();
    done();
  }

  /** Whether the command had to be ended, rather than ending by itself. */
  get killedByUs(): boolean {
    return this.#child.killed;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    this.#child.kill(); // by its own pid, and only while it runs: Node knows
    done(error);
  }

  /** Waits a moment for the exit status, which says more than the end of the output does. */
  #finish(): void {
    const end = (): void => {
      if (this.#finished) return;
      this.#finished = true;
      this.push(null);
    };
    if (this.exitReason === undefined) awaitExit(end);
    else end();
  }

  /** A command that has ended refuses what is written to it before its exit status is told, and that says more. */
  #broken(error: Error): void {
    if (this.exitReason === undefined) awaitExit(() => this.destroy(error));
    else if (!this.#child.stdout.readableEnded) this.destroy(error);
  }

  #hear(text: string, onNote: (message: string) => void): void {
    const lines = (this.#stderr + text).split('\n');
    this.#stderr = (lines.pop() ?? '').slice(-4096);
    for (const line of lines) {
      if (line.trim() !== '' && this.#notes++ < MOST_NOTES) onNote(cleanLine(line));
    }
  }
}

/** Calls it when the exit status had its time, and what came while this process stood still has been looked at. */
function awaitExit(then: () => void): void {
  setTimeout(() => setImmediate(then), EXIT_WAIT_MS).unref();
}

function launch(line: string): ChildProcessByStdio<Writable, Readable, Readable> {
  const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe'];
  if (process.platform === 'win32') return spawn(line, { stdio, shell: true, windowsHide: true });
  const shell = process.env['SHELL'];
  return spawn(shell === undefined || shell === '' ? '/bin/sh' : shell, ['-c', `exec ${line}`], { stdio });
}
