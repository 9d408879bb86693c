import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_AGAIN_MS = 5;
/** A rewrite takes milliseconds. What is older was left behind by a program that died, or is a copy of somebody's own. */
const LEFT_BEHIND_MS = 10_000;

/**
 * Resolves once no other program is in the middle of rewriting the file: from then on whoever begins reads all that is in
 * it now. `ssh-keygen -R` and `-H`, and ssh itself for UpdateHostKeys, make `FILE.XXXXXXXXXX` beside it, then read the file,
 * then rename their copy over it (do_known_hosts in ssh-keygen.c, hostfile_replace_entries in hostfile.c); they know no lock.
 */
export async function rewritesEnded(file: string): Promise<void> {
  while ((await drafts(file)).length > 0) await sleep(LOOK_AGAIN_MS);
}

async function drafts(file: string): Promise<readonly string[]> {
  const start = `${basename(file)}.`;
  const names = await readdir(dirname(file)).catch(() => []); // a folder that is closed to us tells nothing
  const candidates = names.filter((name) => name.startsWith(start) && isDraft(name.slice(start.length)));
  const ages = await Promise.all(candidates.map((name) => ageMs(join(dirname(file), name))));
  return candidates.filter((_name, index) => (ages[index] ?? Infinity) < LEFT_BEHIND_MS);
}

/** 10 signs of ssh-keygen's, 11 of ssh's own; glibc fills in the last six only and leaves the other X. */
function isDraft(ending: string): boolean {
  return /^[A-Za-z0-9]{10,11}$/.test(ending);
}

async function ageMs(path: string): Promise<number> {
  const facts = await stat(path).catch(() => undefined); // renamed meanwhile: it is done
  return facts === undefined ? Infinity : Date.now() - facts.mtimeMs;
}
