import { expect, test } from 'vitest';
import { Backlog } from '../../src/ssh/data/backlog.ts';

/** What comes out of it until it is empty. */
function all(backlog: Backlog): Buffer[] {
  const chunks: Buffer[] = [];
  for (let chunk = backlog.shift(); chunk !== undefined; chunk = backlog.shift()) chunks.push(chunk);
  return chunks;
}

test('what waits comes out in the order in which it came, small chunks and large ones', () => {
  const backlog = new Backlog();
  const text = Array.from({ length: 3_000 }, (_, index) => (index % 97 === 0 ? 'x'.repeat(5_000) : `${index},`));
  const out: Buffer[] = [];

  text.forEach((part, index) => {
    backlog.push(Buffer.from(part));
    if (index % 3 === 0) out.push(backlog.shift() ?? Buffer.alloc(0));
  });
  expect(backlog.bytes).toBe(text.join('').length - Buffer.concat(out).length);
  out.push(...all(backlog));

  expect(Buffer.concat(out).toString()).toBe(text.join(''));
  expect(backlog.bytes).toBe(0);
});

test('a window full of packets of four bytes is a few hundred chunks at most', () => {
  const backlog = new Backlog();
  for (let count = 0; count < (2 * 2 ** 20) / 4; count += 1) backlog.push(Buffer.alloc(4));

  expect(backlog.bytes).toBe(2 * 2 ** 20);
  expect(all(backlog).length).toBeLessThan(300);
});

test('a few chunks wait as they are, without a copy', () => {
  const backlog = new Backlog();
  const chunks = [Buffer.from('220 ready'), Buffer.alloc(40_000)];
  for (const chunk of chunks) backlog.push(chunk);

  expect(all(backlog).map((chunk, index) => chunk === chunks[index])).toEqual([true, true]);
});
