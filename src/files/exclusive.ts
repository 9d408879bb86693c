import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from './file-error.ts';

/** A change takes milliseconds: whoever holds the lock longer than this is stuck. */
const WITHIN_MS = 5_000;
const LOOK_AGAIN_MS = 10;
/** A lock that outlived its holder may name a number that another program has by now: at this age nobody is in it. */
const LEFT_BEHIND_MS = 60_000;

/** Somebody else changes the file and does not come to an end. */
export class FileHeldError extends Error {
  /** The lock's own file. */
  readonly path: string;

  constructor(holder: string, path: string) {
    super(`process ${holder} holds it`);
    this.path = path;
  }
}

/**
 * Does the work while no other process of ours does the same to the file: whoever holds `FILE.lock` names itself in it,
 * and one that has died in it is passed over. Rejects with FileHeldError after 5 s, or with what kept the lock from being
 * made; what the work throws passes through.
 */
export async function exclusively<T>(file: string, work: () => Promise<T>): Promise<T> {
  const unlock = await takeFileLock(file);
  try {
    return await work();
  } finally {
    await unlock();
  }
}

/** As `exclusively`, in two steps. @returns how to give it back */
export async function takeFileLock(file: string): Promise<() => Promise<void>> {
  const path = `${file}.lock`;
  const untilMs = performance.now() + WITHIN_MS;
  while (!(await taken(path))) {
    const holder = await readFile(path, 'utf8').catch(() => ''); // it has gone meanwhile
    if (isDead(holder) || (await ageMs(path)) > LEFT_BEHIND_MS) await clear(path, holder);
    else if (performance.now() > untilMs) throw new FileHeldError(holder, path);
    else await sleep(LOOK_AGAIN_MS);
  }
  return () => rm(path, { force: true });
}

/** A lock appears with its holder's name in it, or not at all. */
async function taken(path: string): Promise<boolean> {
  const ours = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    const handle = await open(ours, 'wx', 0o600);
    await handle.writeFile(String(process.pid)).finally(() => handle.close());
    await link(ours, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(ours, { force: true }).catch(() => undefined); // an empty name more in a private folder harms nobody
  }
}

/** Takes a dead holder's lock away. One that came in its place meanwhile is put back. */
async function clear(path: string, holder: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString('hex')}.old`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== holder) await link(aside, path);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes(errorCode(error))) throw error; // somebody else was quicker
  } finally {
    await rm(aside, { force: true });
  }
}

async function ageMs(path: string): Promise<number> {
  const facts = await stat(path).catch(() => undefined); // it has gone meanwhile
  return facts === undefined ? 0 : Date.now() - facts.mtimeMs;
}

function isDead(holder: string): boolean {
  const pid = Number(holder);
  if (!Number.isInteger(pid) || pid <= 0) return holder !== '';
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return errorCode(error) === 'ESRCH';
  }
}
