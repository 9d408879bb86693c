import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { NOTHING_REMEMBERED, type SupervisorMemory } from '../model/memory.ts';
import { errorCode, fileError, fileReason } from './file-error.ts';
import { parseMemory } from './parse-memory.ts';
import { ensurePrivateFolder } from './private-folder.ts';

/** The supervisor's memory in one file, 0600, always whole: whoever reads it sees the one before or the one after. */
export class StateFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Never rejects: a missing file is an empty memory, a damaged one is moved aside, and `problem` says so. */
  async load(): Promise<{ readonly memory: SupervisorMemory; readonly problem?: string }> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return { memory: NOTHING_REMEMBERED };
      return { memory: NOTHING_REMEMBERED, problem: `Cannot read ${this.#path}: ${fileReason(error)}` };
    }
    const memory = parseMemory(text);
    return memory === undefined ? this.#moveAside() : { memory };
  }

  /** Rejects with FILE. One save at a time: the caller sees to that. */
  async save(memory: SupervisorMemory): Promise<void> {
    await ensurePrivateFolder(dirname(this.#path));
    const draft = `${this.#path}.${process.pid}.new`;
    try {
      const file = await open(draft, 'w', 0o600);
      try {
        await file.writeFile(`${JSON.stringify({ version: 1, ...memory }, null, 2)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, this.#path);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined); // the write's own failure is the one to tell
      throw fileError(`write ${this.#path}`, error, 'Tunnels run on, but are not remembered over a restart.');
    }
  }

  async #moveAside(): Promise<{ readonly memory: SupervisorMemory; readonly problem: string }> {
    const aside = `${this.#path}.damaged`;
    const problem = `Cannot understand ${this.#path}: it is damaged, so no tunnel was restored from it`;
    try {
      await rename(this.#path, aside);
      return { memory: NOTHING_REMEMBERED, problem: `${problem}. It was moved to ${aside}` };
    } catch (error) {
      return { memory: NOTHING_REMEMBERED, problem: `${problem}. It could not be moved: ${fileReason(error)}` };
    }
  }
}
