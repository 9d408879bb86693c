import { expect, test } from 'vitest';
import { Stash } from '../../src/ssh/data/stash.ts';

const PAGE = 256 * 1024;

test('copies stay what they were, back to back in pages of their own', () => {
  const stash = new Stash();
  const chunk = Buffer.alloc(32 * 1024);

  const copies = Array.from({ length: 20 }, (_, index) => stash.copy(chunk.fill(index + 1)));
  chunk.fill(0);

  expect(copies.map((copy) => [copy.length, copy[0], copy.at(-1)])).toEqual(
    Array.from({ length: 20 }, (_, index) => [chunk.length, index + 1, index + 1]),
  );
  expect(new Set(copies.map(({ buffer }) => buffer)).size).toBe(3);
  expect(copies.slice(0, 3).map(({ byteOffset }) => byteOffset)).toEqual([0, chunk.length, 2 * chunk.length]);
});

test('what is larger than a page has one of its size, and what is small has none', () => {
  const stash = new Stash();

  const [large, small, next] = [PAGE + 1, 100, 5_000].map((bytes) => stash.copy(Buffer.alloc(bytes, 'x')));

  expect(large?.buffer.byteLength).toBe(PAGE + 1);
  expect(small?.toString()).toBe('x'.repeat(100));
  expect(next?.buffer.byteLength).toBe(PAGE);
});

test('a page whose copies were all used up takes the next ones, so that the collector has no work with them', () => {
  const stash = new Stash();
  const first = stash.copy(Buffer.alloc(PAGE, 'a'));

  stash.reuse();
  const second = stash.copy(Buffer.alloc(100_000, 'b'));

  expect([second.buffer === first.buffer, second.byteOffset, second.length]).toEqual([true, 0, 100_000]);
  expect(second.toString()).toBe('b'.repeat(100_000));
});
