import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { StringDecoder } from 'node:string_decoder';
import { TunnelError } from '../../model/failure.ts';

/** As many as the log keeps when it rotates (product.md: five); a gap in the numbers is no end. */
const KEPT_LOGS = 5;
const CHUNK_BYTES = 64 * 1024;
/** Soon enough for an eye, and one stat a time for the disk. */
const POLL_MS = 200;

export interface LogReading {
  /** Go on with what is appended, over rotations, until `signal` aborts: then the reading rejects with its reason. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** The lines of a log and of those that were moved aside as it grew (`path.5` … `path.1`), oldest first. */
export async function* logLines(path: string, { follow, signal }: LogReading): AsyncGenerator<string> {
  const files = await openAll(path);
  // Without a log of this name what is there was moved aside: the next one is new.
  let newest = files.find(({ path: opened }) => opened === path);
  try {
    for (const file of files) yield* file.lines(signal);
    for (const file of files) if (file !== newest) await file.close();
    while (follow) {
      await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      const inode = await inodeOf(path);
      if (newest !== undefined) yield* newest.lines(signal); // looked at after the inode: nothing was moved away unread
      if (inode === undefined || inode === newest?.inode) continue;
      await newest?.close();
      newest = await openLog(path);
      if (newest !== undefined) yield* newest.lines(signal);
    }
  } finally {
    for (const file of files) await file.close();
    await newest?.close();
  }
}

class OpenLog {
  readonly path: string;
  readonly inode: number;
  readonly #handle: FileHandle;
  readonly #decoder = new StringDecoder('utf8');
  #partial = '';
  #closed = false;

  constructor(path: string, handle: FileHandle, inode: number) {
    this.path = path;
    this.#handle = handle;
    this.inode = inode;
  }

  /** What was not read yet, to the last whole line. */
  async *lines(signal: AbortSignal): AsyncGenerator<string> {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      const lines = (this.#partial + this.#decoder.write(buffer.subarray(0, bytesRead))).split('\n');
      this.#partial = lines.pop() ?? '';
      yield* lines;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}

/** Newest first, so that a rotation meanwhile shows one file twice, which its inode tells, and loses none. */
async function openAll(path: string): Promise<OpenLog[]> {
  const files: OpenLog[] = [];
  for (const name of [path, ...Array.from({ length: KEPT_LOGS }, (_, index) => `${path}.${index + 1}`)]) {
    const file = await openLog(name);
    if (file === undefined) continue;
    if (files.some(({ inode }) => inode === file.inode)) await file.close();
    else files.unshift(file);
  }
  return files;
}

async function openLog(path: string): Promise<OpenLog | undefined> {
  try {
    const handle = await open(path, 'r');
    return new OpenLog(path, handle, (await handle.stat()).ino);
  } catch (thrown) {
    return absent(path, thrown);
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (thrown) {
    return absent(path, thrown);
  }
}

function absent(path: string, thrown: unknown): undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  if (code === 'ENOENT') return undefined;
  throw new TunnelError('FILE', `Cannot read ${path}: ${String(code ?? thrown)}`, { cause: thrown });
}
