import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant, Course, Start } from './contestants.ts';
import { withContestants } from './contest.ts';
import { residentMb } from './measure.ts';
import { startClient } from './native.ts';
import type { Series } from './report.ts';

/** How much a look at memory does. */
export interface MemorySize {
  /** Connections that are held open. */
  readonly idle: number;
  /** How long the slow uploads push. Queues are full long before. */
  readonly pushMs: number;
  /** How long after a load has gone one looks at what it left. */
  readonly settleMs: number;
}

type Note = (measure: string, unit: string, one: Contestant, value: number) => void;

const LOOK_MS = 100;

/**
 * Resident memory of each contestant, fresh for each load: with nothing open; while 64 uploads push into slow sinks, and a while after they
 * have gone; with many idle connections open, and a while after. One repetition: memory moves little from run to run.
 */
export async function compareMemory(starts: readonly Start[], course: Course, size: MemorySize): Promise<Series[]> {
  const found = new Map<string, Series>();
  const note: Note = (measure, unit, one, value) => {
    const rounds = found.get(measure)?.rounds ?? {};
    found.set(measure, { measure, unit, more: false, rounds: { ...rounds, [one.name]: [value] } });
  };
  await withContestants(starts, course, (contestants) => push(contestants, size, note));
  await withContestants(starts, course, (contestants) => holdIdle(contestants, size, note));
  return [...found.values()];
}

async function push(contestants: readonly Contestant[], { pushMs, settleMs }: MemorySize, note: Note): Promise<void> {
  const load = '64 uploads into slow sinks';
  for (const one of contestants) {
    note('nothing open', 'MB', one, residentMb(await one.pids()));
    note(`${load}, at most`, 'MB', one, await mostWhilePushing(one, pushMs));
  }
  await sleep(settleMs);
  for (const one of contestants) note(`${load}, after they have closed`, 'MB', one, residentMb(await one.pids()));
}

async function holdIdle(contestants: readonly Contestant[], size: MemorySize, note: Note): Promise<void> {
  const load = `${size.idle} idle connections`;
  for (const one of contestants) {
    const held = await startClient('idle', one.port, size.idle);
    const [seconds = NaN, refused = NaN] = held.numbers;
    note(load, 'MB', one, residentMb(await one.pids()));
    note(`${load}: refused`, 'of them', one, refused);
    note(`${load}: time to open all`, 's', one, seconds);
    await held.stop();
  }
  await sleep(size.settleMs);
  for (const one of contestants) note(`${load}, after they have closed`, 'MB', one, residentMb(await one.pids()));
}

/** Resident MB at most while 64 uploads push into slow sinks for so long. */
export async function mostWhilePushing(one: Contestant, pushMs: number): Promise<number> {
  const pushing = await startClient('slow', one.port, 64);
  let most = 0;
  const endsAt = performance.now() + pushMs;
  while (performance.now() < endsAt) {
    most = Math.max(most, residentMb(await one.pids()));
    await sleep(LOOK_MS);
  }
  await pushing.stop();
  return most;
}
