import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseLogLine } from '../../src/cli/logs/log-line.ts';
import { logLines } from '../../src/cli/logs/log-reader.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { eventually } from '../support/eventually.ts';

let dir: string;
let log: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tunnel-logs-'));
  log = join(dir, 'tunnel.jsonl');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Reads in the background; `stop` ends a reading that follows. */
function reading(follow: boolean): { lines: string[]; stop: () => void; done: Promise<unknown> } {
  const lines: string[] = [];
  const controller = new AbortController();
  const done = (async () => {
    for await (const line of logLines(log, { follow, signal: controller.signal })) lines.push(line);
  })().catch((error: unknown) => error);
  return { lines, stop: () => controller.abort(new TunnelError('INTERRUPTED', 'stop')), done };
}

async function sees(lines: readonly string[], expected: readonly string[]): Promise<void> {
  await eventually(() => lines.length >= expected.length);
  expect(lines).toEqual(expected);
}

describe('reading the log', () => {
  test('begins with the oldest that was moved aside, over a gap in the numbers', async () => {
    await writeFile(`${log}.3`, 'one\n');
    await writeFile(`${log}.1`, 'two\nthree\n');
    await writeFile(log, 'four\n');
    const { lines, done } = reading(false);
    await done;
    expect(lines).toEqual(['one', 'two', 'three', 'four']);
  });

  test('ends at once where there is none', async () => {
    const { lines, done } = reading(false);
    expect([await done, lines]).toEqual([undefined, []]);
  });

  test('gives no torn line: it waits for the end of it', async () => {
    await writeFile(log, 'whole\nto');
    const { lines, stop, done } = reading(true);
    await sees(lines, ['whole']);
    await appendFile(log, 'rn\n');
    await sees(lines, ['whole', 'torn']);
    stop();
    await done;
  });

  test('reads letters that a block boundary cuts in two', async () => {
    const long = `${'ü'.repeat(40_000)}x`;
    await writeFile(log, `${long}\n`);
    const { lines, done } = reading(false);
    await done;
    expect(lines).toEqual([long]);
  });

  test('follows over a rotation and loses nothing of the old file', async () => {
    await writeFile(log, 'one\n');
    const { lines, stop, done } = reading(true);
    await sees(lines, ['one']);
    await appendFile(log, 'two\n');
    await rename(log, `${log}.1`);
    await writeFile(log, 'three\n');
    await sees(lines, ['one', 'two', 'three']);
    await appendFile(log, 'four\n');
    await sees(lines, ['one', 'two', 'three', 'four']);
    stop();
    await done;
  });

  test('waits for a log that is not there yet', async () => {
    await writeFile(`${log}.1`, 'old\n');
    const { lines, stop, done } = reading(true);
    await sees(lines, ['old']);
    await writeFile(log, 'first\n');
    await sees(lines, ['old', 'first']);
    stop();
    expect(await done).toMatchObject({ code: 'INTERRUPTED' });
  });
});

describe('a line of the log', () => {
  const at = '2026-08-14T10:00:00.000Z';
  test('is the event that was written', () => {
    const note = { event: 'note', at, tunnel: null, level: 'info', message: 'hello' };
    expect(parseLogLine(JSON.stringify(note))).toEqual(note);
  });

  test.each([
    '{"event":"note","at":"2026',
    '',
    'null',
    '[]',
    JSON.stringify({ event: 'future', at, tunnel: null }),
    JSON.stringify({ event: 'note', at, tunnel: 7, level: 'info', message: 'x' }),
    JSON.stringify({ event: 'note', at, tunnel: null, level: 'loud', message: 'x' }),
    JSON.stringify({ event: 'tunnel', at, tunnel: 'a', status: null }),
    JSON.stringify({ event: 'connection', at, tunnel: 'a', forward: 'f' }),
  ])('that is torn, foreign or newer is passed over: %j', (line) => {
    expect(parseLogLine(line)).toBeUndefined();
  });
});
