import { randomUUID } from 'node:crypto';
import { link, open, rename, stat, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from '../files/file-error.ts';
import { TunnelError } from '../model/failure.ts';
import { livenessOf, ownIdentity } from './process-identity.ts';
import type { LockFacts } from './lock-facts.ts';
import { lockFileError, readLockFile, type LockFileState } from './lock-file.ts';

/** The one hold that a process has on its home. Whoever took it releases it. */
export interface Lock {
  readonly facts: LockFacts;
  /** `missing`: somebody removed the file. `taken`: it names another supervisor; ours is no longer found by anybody. */
  look(): Promise<'ours' | 'missing' | 'taken'>;
  /** Writes the file anew after it went missing, or because the socket moved. Rejects with SUPERVISOR_RUNNING where it is taken. */
  renew(socket: string): Promise<void>;
  /** Removes the file where it is ours. Safe to call twice. */
  release(): Promise<void>;
}

/** Whether the supervisor of this lock answers at its socket: asked only where nothing else can tell. */
export type Answers = (facts: LockFacts) => Promise<boolean>;

/** Long enough for a process that has its lock and is about to listen. */
const LISTENS_WITHIN_MS = 2_000;
/** Replacing a stale lock takes a few file operations: whoever takes longer has died in it. */
const TAKEOVER_WITHIN_MS = 10_000;

/**
 * Takes the lock of a home, replacing one whose process has ended. Of several that try at once exactly one gets it.
 * @param left the token of a lock that its supervisor leaves to us while it lives
 * @throws TunnelError SUPERVISOR_RUNNING that names the pid, FILE when the file cannot be written
 */
export async function takeLock(
  lockFile: string,
  about: Pick<LockFacts, 'socket' | 'version' | 'startedAt'>,
  answers: Answers,
  left?: string,
): Promise<Lock> {
  const facts: LockFacts = { ...(await ownIdentity()), ...about, token: randomUUID() };
  await place(lockFile, facts, answers, left);
  return new HeldLock(lockFile, facts, answers);
}

class HeldLock implements Lock {
  readonly #file: string;
  readonly #answers: Answers;
  facts: LockFacts;

  constructor(file: string, facts: LockFacts, answers: Answers) {
    this.#file = file;
    this.facts = facts;
    this.#answers = answers;
  }

  async look(): Promise<'ours' | 'missing' | 'taken'> {
    const seen = await readLockFile(this.#file);
    if (seen.kind === 'none') return 'missing';
    return seen.kind === 'facts' && seen.facts.token === this.facts.token ? 'ours' : 'taken';
  }

  async renew(socket: string): Promise<void> {
    this.facts = { ...this.facts, socket };
    if ((await this.look()) !== 'ours') return place(this.#file, this.facts, this.#answers);
    await withDraft(this.#file, this.facts, (draft) => rename(draft, this.#file));
  }

  async release(): Promise<void> {
    if ((await this.look()) === 'ours') await removeIfThere(this.#file);
  }
}

/** Puts our facts where no other supervisor's are. */
function place(lockFile: string, facts: LockFacts, answers: Answers, left?: string): Promise<void> {
  return withDraft(lockFile, facts, async (draft) => {
    while (!(await linkNew(draft, lockFile))) {
      const seen = await readLockFile(lockFile);
      if (seen.kind === 'none') continue; // released in this moment
      const held = seen.kind === 'facts' && seen.facts.token !== left && (await isHeld(seen.facts, answers));
      if (held) throw runningAlready(seen.facts.pid);
      if (await replaceStale(lockFile, draft, seen)) return;
    }
  });
}

async function isHeld(facts: LockFacts, answers: Answers): Promise<boolean> {
  const endsAtMs = performance.now() + LISTENS_WITHIN_MS;
  for (;;) {
    const liveness = await livenessOf(facts);
    if (liveness !== 'perhaps') return liveness === 'alive';
    if (await answers(facts)) return true;
    if (performance.now() > endsAtMs) return false;
    await sleep(50);
  }
}

/**
 * Replaces a stale lock by ours. Judging and replacing are two steps, so a guard file lets one process at a time
 * through, and inside it the lock is read once more: another may have replaced it since we judged.
 * @returns false: look again
 */
async function replaceStale(lockFile: string, draft: string, judged: LockFileState): Promise<boolean> {
  const guard = `${lockFile}.takeover`;
  if (!(await linkNew(draft, guard))) {
    await clearDeadGuard(guard);
    return false;
  }
  try {
    const now = await readLockFile(lockFile);
    if (now.kind === 'none' || tokenOf(now) !== tokenOf(judged)) return false;
    await rename(draft, lockFile);
    return true;
  } finally {
    await removeIfThere(guard);
  }
}

async function clearDeadGuard(guard: string): Promise<void> {
  const [seen, ageMs] = await Promise.all([readLockFile(guard), fileAgeMs(guard)]);
  if (seen.kind === 'none') return;
  const alive = seen.kind === 'facts' && (await livenessOf(seen.facts)) !== 'dead';
  if (!alive || ageMs > TAKEOVER_WITHIN_MS) await removeIfThere(guard);
  else await sleep(20);
}

function tokenOf(seen: LockFileState): string | undefined {
  return seen.kind === 'facts' ? seen.facts.token : undefined;
}

/** Writes the facts whole and to the disk beside the lock, for `use` to put in place; what is left of it is removed. */
async function withDraft(lockFile: string, facts: LockFacts, use: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${lockFile}.${randomUUID()}`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(facts)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await use(draft);
  } catch (error) {
    await unlink(draft).catch(() => undefined); // the write's own failure is the one to tell
    throw error instanceof TunnelError ? error : lockFileError('write', lockFile, error);
  }
  await removeIfThere(draft);
}

/** link(2) never replaces: of two that link at once one gets EEXIST. @returns whether it was us */
async function linkNew(existing: string, path: string): Promise<boolean> {
  try {
    await link(existing, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function removeIfThere(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw lockFileError('remove', file, error);
  }
}

async function fileAgeMs(file: string): Promise<number> {
  try {
    return Date.now() - (await stat(file)).mtimeMs;
  } catch {
    return 0; // gone meanwhile: nothing to be old
  }
}

function runningAlready(pid: number): TunnelError {
  return new TunnelError('SUPERVISOR_RUNNING', `Cannot start a supervisor: one runs already (pid ${pid})`);
}
