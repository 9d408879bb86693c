import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BulkSend } from '../../src/ssh/data/bulk-send.ts';
import { Lull } from '../../src/ssh/data/lull.ts';
import { Sharing, type Sender } from '../../src/ssh/data/sharing.ts';
import { UnderWay } from '../../src/ssh/data/under-way.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const aSender = (): Sender => ({ smallMs: -Infinity, smallTurn: 0 });

/** Whether a connection counts as shared after these: whose, and how much, one every ten milliseconds. */
function sharedAfter(...sent: readonly (readonly ['a' | 'b' | 'c', number])[]): boolean {
  const sharing = new Sharing();
  const senders = { a: aSender(), b: aSender(), c: aSender() };
  for (const [name, bytes] of sent) {
    sharing.sends(senders[name], bytes);
    vi.advanceTimersByTime(10);
  }
  return sharing.at(performance.now());
}

test('words between what another channel is sent share a connection; those of a channel between its own answers do not', () => {
  const sharing = new Sharing();
  const [one, other] = [aSender(), aSender()];
  const asks = (sender: Sender, answered: Sender): void => {
    sharing.sends(sender, 9);
    vi.advanceTimersByTime(10);
    sharing.receives(answered, 32 * KIB);
    sharing.receives(sender, 9);
  };
  for (let round = 0; round < 3; round += 1) asks(one, one);
  expect(sharing.at(performance.now())).toBe(false);
  for (let round = 0; round < 2; round += 1) asks(one, other);
  expect(sharing.at(performance.now())).toBe(true);
});

test('words beside an upload share the connection however long the answers to them are', () => {
  const sharing = new Sharing();
  const [speaker, uploader] = [aSender(), aSender()];
  for (let round = 0; round < 2; round += 1) {
    sharing.sends(speaker, 9);
    sharing.sends(uploader, 64 * KIB);
    sharing.receives(speaker, 32 * KIB);
    vi.advanceTimersByTime(10);
  }
  expect(sharing.at(performance.now())).toBe(true);
});

test.each<[string, readonly (readonly ['a' | 'b' | 'c', number])[], boolean]>([
  [
    'words between the chunks of an upload share it',
    [
      ['a', 64 * KIB],
      ['b', 9],
      ['a', 64 * KIB],
      ['b', 9],
    ],
    true,
  ],
  [
    'an upload alone shares nothing',
    [
      ['a', 64 * KIB],
      ['a', 9],
      ['a', 64 * KIB],
      ['a', 9],
    ],
    false,
  ],
  [
    'uploads that begin with a few words do not',
    [
      ['a', 9],
      ['b', 9],
      ['c', 9],
      ['a', 64 * KIB],
      ['b', 64 * KIB],
      ['a', 64 * KIB],
    ],
    false,
  ],
  [
    'several uploads do not, whatever a chunk of theirs',
    [
      ['a', 64 * KIB],
      ['b', 9],
      ['a', 64 * KIB],
      ['b', 64 * KIB],
      ['a', 9],
      ['b', 9],
    ],
    false,
  ],
  [
    'one request on a connection of its own does not',
    [
      ['a', 64 * KIB],
      ['b', 9],
      ['a', 64 * KIB],
      ['c', 9],
    ],
    false,
  ],
  [
    'words among words do not',
    [
      ['a', 9],
      ['b', 9],
      ['a', 9],
      ['b', 9],
    ],
    false,
  ],
])('%s', (_name, sent, shared) => {
  expect(sharedAfter(...sent)).toBe(shared);
});

test("a second after the last word the connection is the upload's again", () => {
  const sharing = new Sharing();
  const [upload, other] = [aSender(), aSender()];
  const inBetween = [upload, other, upload, other].map((one) => sharing.sends(one, one === other ? 1 : 64 * KIB));

  expect(inBetween).toEqual([false, false, false, true]);
  vi.advanceTimersByTime(999);
  expect(sharing.at(performance.now())).toBe(true);
  vi.advanceTimersByTime(1);
  expect(sharing.at(performance.now())).toBe(false);
});

/** A server that widens by `bytes` every `everyMs`, for a second. */
function widened(bytes: number, everyMs: number, roundTripMs: number | undefined): UnderWay {
  const underWay = new UnderWay();
  for (let ms = 0; ms <= 1_000; ms += everyMs) underWay.adjusted(bytes, ms, roundTripMs);
  return underWay;
}

test('little is under way on a short path, and what the path holds on a long one', () => {
  expect(new UnderWay().mostBytes).toBe(Infinity);
  expect(widened(96 * KIB, 1, undefined).mostBytes).toBe(192 * KIB);
  expect(widened(64 * KIB, 1, 0.2).mostBytes / KIB).toBeCloseTo(128 + 64 * 0.2 * 1.25);
  expect(widened(96 * KIB, 5, 100).mostBytes / MIB).toBeGreaterThan((96 / 1_024) * 20);
});

test('a server that widens its windows by halves is left its window', () => {
  expect(widened(MIB, 2, 0.2).mostBytes).toBeGreaterThanOrEqual(2 * MIB);
});

test('patience lasts as long as the server is slow, and a pause of the source costs it two seconds at most', () => {
  expect(widened(96 * KIB, 1, 0.2).patienceMs(0.2)).toBe(200);
  expect(widened(96 * KIB, 1, 0.2).patienceMs(100)).toBe(400);
  const slow = widened(96 * KIB, 100, 20);
  const usualMs = slow.patienceMs(20);
  expect(usualMs).toBeGreaterThan(350);
  slow.adjusted(96 * KIB, 3_600_000, 20);
  expect(slow.patienceMs(20)).toBeLessThan(usualMs + 2_000);
  for (let ms = 100; ms <= 2_000; ms += 100) slow.adjusted(96 * KIB, 3_600_000 + ms, 20);
  expect(slow.patienceMs(20)).toBeLessThan(1.1 * usualMs);
});

test('a server that stalled is held to little again when it has gone on for long', () => {
  const underWay = widened(96 * KIB, 5, 0.2);
  const beforeBytes = underWay.mostBytes;
  for (let stall = 0; stall < 4; stall += 1) underWay.stalled();
  expect(underWay.mostBytes).toBeGreaterThan(2 * MIB);
  for (let ms = 1_800; ms < 2_000; ms += 5) underWay.adjusted(96 * KIB, ms, 0.2);
  expect(underWay.mostBytes).toBeGreaterThan(2 * MIB);
  for (let ms = 2_000; ms < 4_000; ms += 5) underWay.adjusted(96 * KIB, ms, 0.2);
  expect(underWay.mostBytes).toBeCloseTo(beforeBytes);
});

test('a server that goes on with 512 KiB only is tried with less now and then, and ever more seldom', () => {
  const underWay = widened(96 * KIB, 5, 0.2);
  let stalls = 0;
  for (let ms = 1_005; ms < 101_000; ms += 5) {
    for (; underWay.mostBytes < 512 * KIB; stalls += 1) underWay.stalled();
    underWay.adjusted(96 * KIB, ms, 0.2);
  }
  expect(stalls).toBeGreaterThan(2);
  expect(stalls).toBeLessThan(12);
});

/** A channel with a window of 2 MiB of which everything is under way, beside one that speaks in between. */
function heldUpload() {
  const sharing = new Sharing();
  const [upload, other] = [aSender(), aSender()];
  for (const one of [upload, other, upload, other]) sharing.sends(one, one === other ? 1 : 64 * KIB);
  let [windowBytes, rooms] = [2 * MIB, 0];
  let adjusted = (_bytes: number): void => undefined;
  const watch = (_channel: object, told: (bytes: number) => void) => {
    adjusted = told;
    return () => undefined;
  };
  const window = { firstBytes: 2 * MIB, bytes: () => windowBytes };
  const lull = new Lull();
  const parts = { adjusts: { watch }, sharing, lull, roundTripMs: () => 0.2 };
  const bulk = new BulkSend({}, window, parts, () => (rooms += 1));
  return {
    bulk,
    lull,
    rooms: () => rooms,
    send: (bytes: number) => (windowBytes -= bytes),
    widen: (bytes: number) => {
      windowBytes += bytes;
      adjusted(bytes);
    },
    speak: () => [upload, other].map((one) => sharing.sends(one, one === other ? 1 : 64 * KIB)),
  };
}

test('an upload is held when enough is under way, and goes on when the window was widened', () => {
  const { bulk, rooms, send, widen } = heldUpload();
  expect(bulk.full).toBe(false);
  send(1_024 * KIB);
  expect(bulk.full).toBe(false); // nobody knows the server yet
  widen(64 * KIB);
  expect([bulk.full, rooms()]).toEqual([true, 0]);
  widen(900 * KIB);
  expect([bulk.full, rooms()]).toEqual([false, 1]);
  bulk.close();
});

test('a server that waits for more than it was given gets it, and nobody waits when the other falls silent', () => {
  const { bulk, rooms, send, widen, speak } = heldUpload();
  send(300 * KIB);
  widen(1);
  expect(bulk.full).toBe(true);
  vi.advanceTimersByTime(200);
  expect([bulk.full, rooms()]).toEqual([true, 1]);
  vi.advanceTimersByTime(200);
  expect([bulk.full, rooms()]).toEqual([false, 2]);
  speak();
  send(1_024 * KIB);
  expect(bulk.full).toBe(true);
  vi.advanceTimersByTime(1_000);
  expect(bulk.full).toBe(false);
  bulk.close();
});

test('in a lull an upload is held whatever is under way, goes on behind it, and nobody takes it for a stall', () => {
  const { bulk, lull, rooms, send, widen } = heldUpload();
  send(300 * KIB);
  widen(1);
  expect(bulk.full).toBe(true);
  lull.begin();
  vi.advanceTimersByTime(200);
  widen(299 * KIB);
  expect(rooms()).toBe(0);
  lull.end();
  expect([bulk.full, rooms()]).toEqual([false, 1]);
  send(200 * KIB);
  expect(bulk.full).toBe(true);
  bulk.close();
});

test('a lull in which the server says nothing is over by itself', () => {
  const { bulk, lull, rooms } = heldUpload();
  lull.begin();
  expect(bulk.full).toBe(true);
  vi.advanceTimersByTime(1_999);
  expect([bulk.full, rooms()]).toEqual([true, 0]);
  vi.advanceTimersByTime(1);
  expect([bulk.full, rooms()]).toEqual([false, 1]);
  bulk.close();
});

test('a channel that has closed waits for nothing', () => {
  const { bulk, rooms, send, widen } = heldUpload();
  send(1_024 * KIB);
  widen(1);
  expect(bulk.full).toBe(true);
  bulk.close();
  vi.advanceTimersByTime(60_000);
  expect(rooms()).toBe(0);
});
