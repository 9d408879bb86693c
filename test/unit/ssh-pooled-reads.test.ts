import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { PooledReads, pooledReadsOf, type Borrower } from '../../src/ssh/pooled-reads.ts';
import { READ_BYTES, ReadPool } from '../../src/ssh/read-pool.ts';

const LARGE = 100_000;

/** Reads of a socket that the test plays, with a guard that says what the test wants. */
function aReader() {
  const heard: Buffer[] = [];
  const socket = Object.assign(new EventEmitter(), {
    pauses: 0,
    pause: () => void (socket.pauses += 1),
    resume: () => undefined,
  });
  const reads = new PooledReads(new ReadPool());
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
  /** Memory of the next reads, over as many as the pool could hold. */
  const reused = (into: Uint8Array): boolean => Array.from({ length: 12 }, () => read(LARGE)).includes(into);
  return { socket, reads, heard, read, memory, guard, reused };
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
  socket.on('data', () => {
    if (reads.lending) reads.lendTo(party);
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
  const { reads, read, guard, reused } = aReader();
  reads.reuse(guard);

  const first = read(LARGE);
  const second = read(LARGE);

  expect(second === first).toBe(false); // a packet in the first may lack its MAC
  expect(reused(first)).toBe(true);
});

test('memory is kept until more has come than a MAC is long', () => {
  const { reads, read, memory, guard } = aReader();
  reads.reuse(guard);

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
  const { reads, socket, read, guard, reused } = aReader();
  reads.reuse(guard);
  const borrower = aBorrower(reads, socket);

  borrower.keeps = true;
  const held = read(LARGE);
  borrower.keeps = false;
  expect(reused(held)).toBe(false);
  borrower.released[0]?.();

  expect(reused(held)).toBe(true);
});

test('what ssh2 may keep for good is left to it', () => {
  const { reads, read, guard, reused } = aReader();
  reads.reuse(guard);

  guard.safe = false;
  const kept = read(LARGE);
  guard.safe = true;

  expect(reused(kept)).toBe(false);
});

test('a full read is the last of its turn', async () => {
  const { reads, socket, read, guard } = aReader();
  reads.reuse(guard);

  read(READ_BYTES - 1);
  expect(socket.pauses).toBe(0);
  read(READ_BYTES);
  expect(socket.pauses).toBe(1);
  await new Promise((resolve) => setImmediate(resolve));
});
