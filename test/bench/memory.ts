import type { Contestant, Course, Start } from './contestants.ts';
import { residentMb } from './measure.ts';
import { startClient } from './native.ts';
import type { Series } from './report.ts';

/** How long the slow uploads push. Queues are full long before. */
const PUSH_MS = 5_000;
const LOOK_MS = 100;

/**
 * Resident memory of each contestant, fresh for each load: with nothing open, at most while 64 uploads push into slow sinks, and with
 * `idle` connections open, none of which may be refused. One repetition: memory moves little from run to run.
 */
export async function compareMemory(starts: readonly Start[], course: Course, idle: number): Promise<Series[]> {
  const found = new Map<string, Record<string, number[]>>();
  const note = (measure: string, name: string, value: number): void => {
    const rounds = found.get(measure) ?? {};
    found.set(measure, { ...rounds, [name]: [value] });
  };
  for (const start of starts) {
    await withFresh(start, course, async (one) => {
      note('nothing open|MB', one.name, residentMb(await one.pids()));
      note('64 uploads into slow sinks, most|MB', one.name, await mostWhilePushing(one));
    });
    await withFresh(start, course, async (one) => {
      const held = await startClient('idle', one.port, idle);
      note(`${idle} idle connections|MB`, one.name, residentMb(await one.pids()));
      note(`${idle} idle connections, time to open all|s`, one.name, held.said);
      await held.stop();
    });
  }
  return [...found].map(([key, rounds]) => {
    const [measure = '', unit = ''] = key.split('|');
    return { measure, unit, more: false, rounds };
  });
}

async function withFresh(start: Start, course: Course, look: (one: Contestant) => Promise<void>): Promise<void> {
  const one = await start(course);
  try {
    await look(one);
  } finally {
    await one.stop();
  }
}

async function mostWhilePushing(one: Contestant): Promise<number> {
  const pushing = await startClient('slow', one.port, 64);
  let most = 0;
  const endsAt = performance.now() + PUSH_MS;
  while (performance.now() < endsAt) {
    most = Math.max(most, residentMb(await one.pids()));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  await pushing.stop();
  return most;
}
