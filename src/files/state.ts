import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { NOTHING_REMEMBERED, type SupervisorMemory, type WantedTunnel } from '../model/memory.ts';
import { errorCode, fileError, fileReason } from './file-error.ts';
import { ensurePrivateFolder } from './private-folder.ts';

/** Larger than any real one by far; a file of this size is not ours. */
const SIZE_LIMIT = 4 * 1024 * 1024;

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

/** @returns undefined where the text is not what `save` writes */
export function parseMemory(text: string): SupervisorMemory | undefined {
  if (text.length > SIZE_LIMIT) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!isRecord(value) || !Array.isArray(value['wanted']) || !isRecord(value['ports'])) return undefined;
  const wanted = value['wanted'].map(parseWanted);
  const ports = Object.entries(value['ports']).map(([tunnel, kept]) => [tunnel, parsePorts(kept)] as const);
  if (wanted.includes(undefined) || ports.some(([, kept]) => kept === undefined)) return undefined;
  const authSock = value['authSock'];
  return {
    wanted: wanted.filter((one) => one !== undefined),
    ...(typeof authSock === 'string' ? { authSock } : {}),
    ports: Object.fromEntries(ports.map(([tunnel, kept]) => [tunnel, kept ?? {}])),
  };
}

function parseWanted(value: unknown): WantedTunnel | undefined {
  if (!isRecord(value)) return undefined;
  const { name, profile, cwd } = value;
  if (typeof name !== 'string' || typeof profile !== 'string' || typeof cwd !== 'string') return undefined;
  return { name, profile, cwd };
}

function parsePorts(value: unknown): Record<string, number> | undefined {
  if (!isRecord(value)) return undefined;
  const ports = Object.entries(value).filter((entry): entry is [string, number] => isPort(entry[1]));
  return ports.length === Object.keys(value).length ? Object.fromEntries(ports) : undefined;
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && typeof value === 'number' && value > 0 && value <= 65_535;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
