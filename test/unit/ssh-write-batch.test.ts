import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { SLAB_BYTES, SlabPool } from '../../src/ssh/data/slab-pool.ts';
import { WriteBatch } from '../../src/ssh/data/write-batch.ts';

/** A stream that keeps what each of its writes brought; `slow` ones end when the test says so. */
function aSink({ slow = false } = {}) {
  const writes: string[] = [];
  const waiting: (() => void)[] = [];
  const take = (text: string, done: () => void): void => {
    writes.push(text);
    if (slow) waiting.push(done);
    else done();
  };
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => take(chunk.toString('latin1'), done),
    writev: (chunks, done) =>
      take(chunks.map(({ chunk }) => (chunk as Buffer).toString('latin1')).join(''), () => done()),
  });
  const batch = WriteBatch.over(stream, new SlabPool());
  const build = (text: string): void => {
    const packet = batch.room(text.length);
    packet.write(text, 'latin1');
    stream.write(packet);
  };
  return { stream, batch, writes, waiting, build };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('what is written in one turn goes out in one write, in order', async () => {
  const { stream, writes, build } = aSink();

  build('one ');
  stream.write(Buffer.from('two '));
  build('three');
  expect(writes).toEqual([]);
  await turn();

  expect(writes).toEqual(['one two three']);
});

test('a large buffer goes out beside the batch, in its place', async () => {
  const { stream, writes, build } = aSink();

  build('first ');
  stream.write(Buffer.alloc(10_000, 'x'));
  build(' last');
  await turn();

  expect(writes.join('')).toBe(`first ${'x'.repeat(10_000)} last`);
});

test('what was built and never written is not sent', async () => {
  const { batch, writes, build } = aSink();

  batch.room(6).write('secret');
  build('sealed');
  await turn();

  expect(writes).toEqual(['sealed']);
});

test('the end waits for what was written before it', async () => {
  const { stream, writes, build } = aSink();

  build('goodbye');
  stream.end();
  await turn();

  expect(writes).toEqual(['goodbye']);
  expect(stream.writableFinished).toBe(true);
});

test('memory is not used anew before its write has ended', async () => {
  const { writes, waiting, build } = aSink({ slow: true });
  const packet = (letter: string): string => letter.repeat(SLAB_BYTES / 4);

  for (const letter of 'abcdefghijkl') build(packet(letter));
  await turn();
  while (waiting.length > 0) {
    waiting.shift()?.();
    await turn();
  }

  expect(writes.join('')).toBe([...'abcdefghijkl'].map(packet).join(''));
});
