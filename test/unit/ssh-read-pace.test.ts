import { expect, test } from 'vitest';
import { ReadPace, type Pace } from '../../src/ssh/data/read-pace.ts';

const FULL_PACKET = 32 * 1024;

interface Read {
  readonly bytes: number;
  readonly everyMs: number;
  readonly lastDataBytes: number;
  readonly full?: boolean;
  readonly shared?: boolean;
}

/** How a connection goes on after the last of 200 such reads. */
function paceOf({ bytes, everyMs, lastDataBytes, full = false, shared = false }: Read): Pace | undefined {
  const pace = new ReadPace();
  const paces = Array.from({ length: 200 }, (_, index) =>
    pace.after({ bytes, full, lastDataBytes, shared }, index * everyMs),
  );
  return paces.at(-1);
}

test.each<[string, Read, Pace]>([
  ['a download at full speed rests', { bytes: 33_000, everyMs: 0.05, lastDataBytes: FULL_PACKET }, 'rested'],
  ['one at a gigabit does too', { bytes: 70_000, everyMs: 0.6, lastDataBytes: FULL_PACKET }, 'rested'],
  ['a slower one never waits', { bytes: 33_000, everyMs: 0.5, lastDataBytes: FULL_PACKET }, 'at once'],
  ['an answer that is over is followed at once', { bytes: 33_000, everyMs: 0.05, lastDataBytes: 900 }, 'at once'],
  ['what is no data is followed at once', { bytes: 33_000, everyMs: 0.05, lastDataBytes: 0 }, 'at once'],
  [
    'nobody waits beside other channels at work',
    { bytes: 33_000, everyMs: 0.05, lastDataBytes: FULL_PACKET, shared: true },
    'at once',
  ],
  [
    'a full read lets the others have their turn, and no more',
    { bytes: 262_144, everyMs: 0.05, lastDataBytes: FULL_PACKET, full: true },
    'next turn',
  ],
])('%s', (_name, reads, pace) => {
  expect(paceOf(reads)).toBe(pace);
});

test('the first packets of a connection, and those after a pause, do not wait', () => {
  const pace = new ReadPace();
  const packet = { bytes: 33_000, full: false, lastDataBytes: FULL_PACKET, shared: false };
  expect(pace.after(packet, 1_000)).toBe('at once');
  for (let read = 1; read <= 200; read += 1) pace.after(packet, 1_000 + read * 0.05);
  expect(pace.after(packet, 1_010.01)).toBe('rested');
  expect(pace.after(packet, 1_060)).toBe('at once');
});

test('a byte of another channel ends the rests for a second', () => {
  const pace = new ReadPace();
  const packet = { bytes: 33_000, full: false, lastDataBytes: FULL_PACKET, shared: false };
  const after = (milliseconds: number): Pace | undefined =>
    Array.from({ length: milliseconds * 10 }, (_, index) => pace.after(packet, begun + index / 10)).at(-1);
  let begun = 0;
  expect(after(20)).toBe('rested');
  for (const backAndForth of [20, 20.1]) pace.after({ ...packet, shared: true }, backAndForth);

  begun = 20.2;
  expect(after(900)).toBe('at once');
  begun = 920;
  expect(after(120)).toBe('rested');
});

test('a download that follows another rests from its start', () => {
  const pace = new ReadPace();
  const packet = { bytes: 33_000, full: false, lastDataBytes: FULL_PACKET };
  const paces = Array.from({ length: 200 }, (_, index) => pace.after({ ...packet, shared: index === 0 }, index / 10));
  expect(paces.at(-1)).toBe('rested');
});
