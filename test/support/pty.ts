import { spawn, type IPty } from '@lydell/node-pty';
import { stripVTControlCharacters } from 'node:util';
import { eventually } from './eventually.ts';

export interface PtyOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** Keys as a terminal sends them. */
export const KEYS = { enter: '\r', space: ' ', down: '\x1b[B', up: '\x1b[A', ctrlC: '\x03', ctrlD: '\x04' } as const;

/** A program on a terminal of its own, with a person's hands: reads the screen, types. Ended by `await using` or `close`. */
export class Terminal {
  readonly #pty: IPty;
  readonly #exit: Promise<number>;
  #raw = '';
  /** Where the next `expect` begins to look. */
  #seen = 0;
  #exited = false;

  constructor(program: string, args: readonly string[], { env, cwd }: PtyOptions) {
    this.#pty = spawn(program, [...args], { name: 'xterm-256color', cols: 120, rows: 40, cwd, env: { ...env } });
    this.#pty.onData((text) => (this.#raw += text));
    this.#exit = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        this.#exited = true;
        resolve(signal === undefined || signal === 0 ? exitCode : 128 + signal);
      });
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /** Everything shown so far, without colours and cursor movements. */
  get text(): string {
    return stripVTControlCharacters(this.#raw).replaceAll('\r', '');
  }

  /** Everything as it was sent, colours and cursor movements among it. */
  get raw(): string {
    return this.#raw;
  }

  /** Waits until the text shows up after what the last `expect` found. @returns what was matched */
  async expect(what: string | RegExp, withinMs = 8_000): Promise<string> {
    const found = await eventually(
      () => {
        const rest = this.text.slice(this.#seen);
        const match = typeof what === 'string' ? what : (what.exec(rest)?.[0] ?? '');
        const at = match === '' ? -1 : rest.indexOf(match);
        if (at >= 0) return { match, end: this.#seen + at + match.length };
        throw new Error(
          `Waited for ${String(what)} on the terminal, which ${this.#exited ? 'ended' : 'shows'}:\n${rest}`,
        );
      },
      { withinMs },
    );
    this.#seen = found.end;
    return found.match;
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  /** Types a line and Enter. */
  enter(line = ''): void {
    this.type(`${line}${KEYS.enter}`);
  }

  /** Resolves with the status once the program has ended. */
  exit(): Promise<number> {
    return this.#exit;
  }

  /** As a closed terminal window does: SIGHUP, which the program may handle. */
  hangUp(): void {
    this.#pty.kill('SIGHUP');
  }

  /** Ends it for sure. Safe to call twice. */
  async close(): Promise<void> {
    if (!this.#exited) this.#pty.kill('SIGKILL');
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
