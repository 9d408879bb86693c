import { createHash, randomBytes } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exclusively } from './exclusive.ts';
import { errorCode, fileError } from './file-error.ts';
import { ensurePrivateFolder } from './private-folder.ts';

/**
 * Remembers over restarts which one-time code was used last, by its window and never by its digits. Names are hashed.
 * Both calls reject with FILE where the state folder cannot be used.
 */
export class UsedCodesFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** @returns -1 where none was */
  async last(subject: string): Promise<number> {
    return (await this.#read())[digest(subject)] ?? -1;
  }

  /** @returns false where another process has used that window, or a later one */
  async use(subject: string, step: number): Promise<boolean> {
    try {
      await ensurePrivateFolder(dirname(this.#path));
      return await exclusively(this.#path, () => this.#take(digest(subject), step));
    } catch (error) {
      throw fileError(`write ${this.#path}`, error);
    }
  }

  async #take(name: string, step: number): Promise<boolean> {
    const known = await this.#read();
    if (step <= (known[name] ?? -1)) return false;
    const draft = `${this.#path}.${process.pid}.${randomBytes(4).toString('hex')}.new`;
    try {
      await writeFile(draft, `${JSON.stringify({ ...known, [name]: step })}\n`, { mode: 0o600 });
      await rename(draft, this.#path);
      return true;
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined); // the write's own failure is the one to tell
      throw error;
    }
  }

  /** A file that is damaged remembers nothing: at worst the server refuses one code. */
  async #read(): Promise<Record<string, number>> {
    try {
      const value: unknown = JSON.parse(await readFile(this.#path, 'utf8'));
      if (typeof value !== 'object' || value === null) return {};
      return Object.fromEntries(Object.entries(value).filter(([, step]) => Number.isSafeInteger(step)));
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return {};
      throw fileError(`read ${this.#path}`, error);
    }
  }
}

function digest(subject: string): string {
  return createHash('sha256').update(subject).digest('hex').slice(0, 32);
}
