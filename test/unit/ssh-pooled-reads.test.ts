import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { PooledReads, pooledReadsOf } from '../../src/ssh/data/pooled-reads.ts';
import type { Borrower } from '../../src/ssh/data/read-loans.ts';
import { READ_BYTES, ReadPool } from '../../src/ssh/data/read-pool.ts';

const LARGE = 100_000;
const PACKET = Buffer.alloc(32_768);

/** Reads of a socket that the test plays, with a guard that says what the test wants. */
function aReader() {
  const heard: Buffer[] = [];
  const socket = Object.assign(new EventEmitter(), {
    pauses: 0,
    pause: () => void (socket.pauses += 1),
    resumes: 0,
    resume: () => void (socket.resumes += 1),
  });
  const pool = new ReadPool();
  const reads = new PooledReads(pool);
  reads.serve(socket as unknown as Socket);
  socket.on('data', (chunk: Buffer) => heard.push(chunk));
  const memory = (): Uint8Array => {
    const { buffer } = reads.onread;
    return typeof buffer === 'function' ? buffer() : buffer;
  };
  /** @returns the memory that was read into */
  const read = (bytes: number): Uint8Array => {
    const into = memory();
    reads.onread.callback(bytes, into);
    return into;
  };
  const guard = { safe: true, begin: () => undefined, claim: () => undefined, end: (): boolean => guard.safe };
  /** What ssh2 did with the packet that lay across this read and the one before. */
  const splits = { packet: undefined as Buffer | undefined, attend: () => undefined, completed: () => splits.packet };
  /** Memory of the next reads, over as many as the pool could hold. */
  const reused = (into: Uint8Array): boolean => Array.from({ length: 12 }, () => read(LARGE)).includes(into);
  return { socket, pool, reads, heard, read, memory, guard, splits, reused };
}

/** Borrows every read; keeps what `keeps` says. */
function aBorrower(reads: PooledReads, socket: EventEmitter) {
  const released: (() => void)[] = [];
  const borrower = { keeps: false, released };
  const party: Borrower = {
    settle: (done) => {
      if (borrower.keeps) released.push(done);
      return !borrower.keeps;
    },
  };
  socket.on('data', (chunk: Buffer) => {
    if (reads.claim(chunk.subarray(0, 1), party) === 'borrow') reads.lendTo(party);
  });
  return borrower;
}

test('until somebody guards what ssh2 keeps, every read is copied', () => {
  const { reads, socket, heard, read, memory } = aReader();
  expect(pooledReadsOf(socket as never)).toBe(reads);

  const into = read(LARGE);

  expect(heard.map(({ length }) => length)).toEqual([LARGE]);
  expect([heard[0]?.buffer === into.buffer, memory() === into]).toEqual([false, true]);
});

test('memory that nobody needs any more is read into again, but not by the very next read', () => {
  const { reads, read, guard, splits, reused } = aReader();
  reads.reuse(guard, splits);

  const first = read(LARGE);
  const second = read(LARGE);

  expect(second === first).toBe(false); // a packet in the first may lack its MAC
  expect(reused(first)).toBe(true);
});

test('memory is kept until more has come than a MAC is long', () => {
  const { reads, read, memory, guard, splits } = aReader();
  reads.reuse(guard, splits);

  const first = read(LARGE);
  const taken = new Set<Uint8Array>();
  for (let bytes = 0; bytes < 63; bytes += 1) {
    read(1); // small: copied, no memory taken
    taken.add(memory());
  }

  expect(taken.has(first)).toBe(false);
  read(1);
  read(LARGE);
  expect(memory() === first).toBe(true);
});

test('what a slow reader still needs is not read into, and is when it has let go', () => {
  const { reads, socket, read, guard, splits, reused } = aReader();
  reads.reuse(guard, splits);
  const borrower = aBorrower(reads, socket);

  borrower.keeps = true;
  const held = read(LARGE);
  borrower.keeps = false;
  expect(reused(held)).toBe(false);
  borrower.released[0]?.();

  expect(reused(held)).toBe(true);
});

test('what ssh2 may keep for good is left to it', () => {
  const { reads, read, guard, splits, reused } = aReader();
  reads.reuse(guard, splits);

  guard.safe = false;
  const kept = read(LARGE);
  guard.safe = true;

  expect(reused(kept)).toBe(false);
});

test('what lies in an earlier read is copied, and what ssh2 may keep of it is left to it', () => {
  const { reads, socket, read, guard, splits, reused } = aReader();
  const leaves: string[] = [];
  let late: Buffer | undefined;
  reads.reuse(guard, splits);
  socket.on('data', (chunk: Buffer) => leaves.push(reads.claim(late ?? chunk, socket)));

  const first = read(LARGE);
  late = Buffer.from(first.buffer, 0, 100); // its MAC is in the next read
  guard.safe = false;
  read(1);
  guard.safe = true;
  read(LARGE);
  late = undefined;
  read(1);

  expect(leaves).toEqual(['borrow', 'copy', 'copy', 'keep']);
  expect(reused(first)).toBe(false);
});

test('a full read is the last of its turn', async () => {
  const { reads, socket, read, guard, splits } = aReader();
  reads.reuse(guard, splits);

  read(READ_BYTES - 1);
  expect(socket.pauses).toBe(0);
  read(READ_BYTES);
  expect(socket.pauses).toBe(1);
  await new Promise((resolve) => setImmediate(resolve));
});

test('what a read has for each of many channels goes out together, when the read is over', () => {
  const { reads, socket, read, guard, splits } = aReader();
  reads.reuse(guard, splits);
  const settled: number[] = [];
  const parties = [1, 2, 3].map((name): Borrower => ({ settle: () => settled.push(name) > 0 }));
  socket.on('data', () => {
    for (const party of [...parties, ...parties]) if (reads.claim(PACKET, party) === 'borrow') reads.lendTo(party);
    expect(settled).toEqual([]);
  });

  read(READ_BYTES);

  expect(settled).toEqual([1, 2, 3]);
});

test('a download at full speed rests for a millisecond between reads', () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { reads, socket, read, guard, splits } = aReader();
  reads.reuse(guard, splits);
  socket.on('data', () => reads.claim(PACKET, socket));

  for (let passedMs = 0; passedMs < 10; passedMs += 1) {
    read(LARGE * 2);
    if (socket.pauses > 0) break;
    vi.advanceTimersByTime(1);
  }

  expect([socket.pauses, socket.resumes]).toEqual([1, 0]);
  vi.advanceTimersByTime(1);
  expect(socket.resumes).toBe(1);
});

test('a download at full speed does not rest where two channels have data', () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { reads, socket, read, guard, splits } = aReader();
  reads.reuse(guard, splits);
  socket.on('data', () => {
    reads.claim(PACKET.subarray(0, 1), guard);
    reads.claim(PACKET, socket);
  });

  for (let passedMs = 0; passedMs < 10; passedMs += 1) {
    read(LARGE * 2);
    vi.advanceTimersByTime(1);
  }

  expect(socket.pauses).toBe(0);
});

test('where a packet of two reads was put together is used again with the read that it ended in', () => {
  const { pool, reads, socket, read, guard, splits } = aReader();
  reads.reuse(guard, splits);
  const borrower = aBorrower(reads, socket);
  const packet = (splits.packet = pool.takeSplit());

  borrower.keeps = true;
  read(LARGE);
  splits.packet = undefined;
  borrower.keeps = false;
  read(LARGE);
  expect(pool.takeSplit()).not.toBe(packet);
  borrower.released[0]?.();

  expect(pool.takeSplit()).toBe(packet);
});

test('a packet of two reads that ssh2 may keep is left to it', () => {
  const { pool, reads, read, guard, splits } = aReader();
  reads.reuse(guard, splits);
  const packet = (splits.packet = pool.takeSplit());

  guard.safe = false;
  read(LARGE);
  guard.safe = true;
  splits.packet = undefined;
  read(LARGE);

  expect(pool.takeSplit()).not.toBe(packet);
});
