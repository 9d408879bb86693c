import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { cleanLine } from '../model/clean.ts';
import type { Clock } from '../model/clock.ts';
import type { StatusEvent } from '../model/status.ts';
import { Folding } from './folding.ts';

/** A log of this size is moved aside, and five such are kept (product.md section 3). */
export const ROTATE_BYTES = 10 * 1024 * 1024;
export const KEPT_LOGS = 5;
/** What may wait for a slow disk; beyond it lines are dropped and counted, for memory must stay bounded. */
const BACKLOG_BYTES = 1024 * 1024;
/**
 * Finished connections are written together, so late at most. Each write is six calls in Node's threads, which on two cores take a
 * third of what a new connection costs from those that carry it (docs/decisions/0006).
 */
const GATHER_MS = 250;
/** So much does not wait any longer: some thousand connections. */
const GATHER_BYTES = BACKLOG_BYTES / 4;

export interface EventLogOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Makes the folder of `path`, or throws why not. */
  readonly makeFolder: () => Promise<void>;
  /** Told why lines were lost: once for each reason. */
  readonly onProblem: (message: string) => void;
  readonly rotateBytes?: number;
}

/**
 * The log in the state folder: one JSON object a line, oldest first, 0600, `path.1` being the newest that was moved
 * aside. Bursts of the same failure are folded. A disk that refuses costs lines and is said once; nothing waits for it.
 */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #folding: Folding;
  #pending: string[] = [];
  #pendingBytes = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;
  /** What waits is to be written at once. */
  #urgent = false;
  #cancelGather: (() => void) | undefined;
  readonly #said = new Set<string>();

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#folding = new Folding(options.clock, (event) => this.#add(event));
  }

  /** Returns at once; the line follows as fast as the disk takes it, that of a finished connection after a moment. */
  write(event: StatusEvent): void {
    this.#folding.take(event);
  }

  /** Writes what is still folded or waits, then lets go of everything. */
  async close(): Promise<void> {
    this.#folding.close();
    this.#writeNow();
    while (this.#writing !== undefined) await this.#writing;
  }

  #add(event: StatusEvent): void {
    const line = formatLine(event);
    if (this.#pendingBytes + line.length > BACKLOG_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#pending.push(line);
    this.#pendingBytes += line.length;
    if (event.event !== 'connection' || this.#pendingBytes > GATHER_BYTES) this.#writeNow();
    else this.#cancelGather ??= this.#options.clock.after(GATHER_MS, () => this.#writeNow());
  }

  #writeNow(): void {
    this.#cancelGather?.();
    this.#cancelGather = undefined;
    this.#urgent = true;
    this.#writing ??= this.#drain();
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    await Promise.resolve(); // the rest of this turn's events join the same write
    while (this.#urgent) {
      this.#urgent = false;
      if (this.#pending.length === 0) break;
      const text = this.#pending.join('');
      this.#pending = [];
      this.#pendingBytes = 0;
      try {
        await this.#append(text);
        this.#sayDropped();
      } catch (error) {
        this.#sayOnce(error);
      }
    }
    this.#writing = undefined;
  }

  /** Opens anew each time: a log that somebody moved or removed is simply begun again. */
  async #append(text: string): Promise<void> {
    await this.#options.makeFolder();
    let file = await openLog(this.#options.path);
    try {
      const { size } = await file.stat();
      if (size > 0 && size + Buffer.byteLength(text) > (this.#options.rotateBytes ?? ROTATE_BYTES)) {
        await file.close();
        await rotate(this.#options.path);
        file = await openLog(this.#options.path);
      }
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  }

  #sayDropped(): void {
    if (this.#dropped === 0) return;
    const message = `${this.#dropped} log lines were dropped: the disk was too slow`;
    this.#dropped = 0;
    const at = new Date(this.#options.clock.wallMs()).toISOString();
    this.#add({ event: 'note', at, tunnel: null, level: 'warn', message });
  }

  #sayOnce(error: unknown): void {
    const why = cleanLine(error instanceof Error ? error.message : String(error));
    const key = error instanceof Error && 'code' in error ? String(error.code) : why;
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#options.onProblem(`Cannot write the log ${this.#options.path}: ${why}`);
  }
}

const LONGEST_VALUE = 2_000;
/** Printable ASCII, nothing escaped, no value that begins or ends with a space: there is nothing to clean. */
const HARMLESS = /^(?!.*(?:" | "))[ -\[\]-~]*$/;

/** One line, with everything that others wrote made visible: nothing in it can forge a second line or act on a terminal. */
export function formatLine(event: StatusEvent): string {
  const plain = JSON.stringify(event);
  if (plain.length < LONGEST_VALUE && HARMLESS.test(plain)) return `${plain}\n`;
  return `${JSON.stringify(event, (_key, value: unknown) => (typeof value === 'string' ? cleanLine(value, LONGEST_VALUE) : value))}\n`;
}

/** O_NOFOLLOW: a link in its place would have us write into another file. */
function openLog(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT } = constants;
  // Windows has no O_NOFOLLOW.
  return open(path, O_WRONLY | O_APPEND | O_CREAT | (process.platform === 'win32' ? 0 : constants.O_NOFOLLOW), 0o600);
}

async function rotate(path: string): Promise<void> {
  await rm(`${path}.${KEPT_LOGS}`, { force: true });
  for (let number = KEPT_LOGS - 1; number >= 1; number -= 1) await move(`${path}.${number}`, `${path}.${number + 1}`);
  await move(path, `${path}.1`);
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error; // not that many yet
  }
}
