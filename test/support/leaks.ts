import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a secret shows up that should show up nowhere. */
export async function leaksOf(markers: Readonly<Record<string, string>>, places: Places): Promise<string[]> {
  const texts = new Map<string, Buffer>();
  for (const [name, text] of Object.entries(places.texts)) texts.set(name, Buffer.from(text));
  for (const folder of places.folders)
    for (const file of await filesUnder(folder)) texts.set(file, await readIfThere(file));
  for (const [name, text] of await processes(places.processes)) texts.set(name, text);
  const found: string[] = [];
  for (const [place, text] of texts) {
    for (const [secret, value] of Object.entries(markers)) {
      if (formsOf(value).some((form) => text.includes(form))) found.push(`${secret} in ${place}`);
    }
  }
  return found.sort();
}

export interface Places {
  /** By name: what commands printed. */
  readonly texts: Readonly<Record<string, string>>;
  /** Every file below them. */
  readonly folders: readonly string[];
  /** Processes are ours whose command line or environment has this text in it. */
  readonly processes: string;
}

/** As it is, and as it would stand in base64 and hexadecimal. */
function formsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  return [value, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')];
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** A draft that took the place of its file meanwhile is looked at under that name. */
export async function readIfThere(file: string): Promise<Buffer> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
}

async function processes(mark: string): Promise<[string, Buffer][]> {
  const found: [string, Buffer][] = [];
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const [line, environment] = await Promise.all(
      ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`).catch(() => Buffer.alloc(0))), // it may have ended
    );
    if (line === undefined || environment === undefined) continue;
    if (line.includes(mark) || environment.includes(mark)) {
      found.push([`cmdline of ${pid}`, line], [`environ of ${pid}`, environment]);
    }
  }
  return found;
}
