import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensurePrivateFolder } from '../../src/files/private-folder.ts';
import { StateFile } from '../../src/files/state.ts';
import { TunnelError } from '../../src/model/failure.ts';
import { NOTHING_REMEMBERED, type SupervisorMemory } from '../../src/model/memory.ts';
import type { StatusEvent, TunnelStatus } from '../../src/model/status.ts';
import { FOLD_MS } from '../../src/observe/folding.ts';
import { EventLog, formatLine } from '../../src/observe/log.ts';
import { eventually } from '../support/eventually.ts';
import { FakeClock } from '../support/fake-clock.ts';

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'tunnel-files-'))));
afterEach(() => rm(dir, { recursive: true }));

async function mode(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TunnelError)) throw new Error(`Expected a TunnelError, not ${String(error)}`);
  return `${error.code}: ${error.message.replaceAll(dir, 'DIR')}`;
}

describe('a private folder', () => {
  test('is made with those above it, for its owner alone', async () => {
    const path = join(dir, 'one', 'two');
    await ensurePrivateFolder(path);
    await ensurePrivateFolder(path);
    expect([await mode(path), await mode(join(dir, 'one'))]).toEqual(['700', '700']);
  });

  test('that others can read is closed to them', async () => {
    const path = join(dir, 'open');
    await mkdir(path);
    await chmod(path, 0o755);
    await ensurePrivateFolder(path);
    expect(await mode(path)).toBe('700');
  });

  test('is refused where it is a link, a dangling link or a file', async () => {
    await mkdir(join(dir, 'real'));
    await symlink(join(dir, 'real'), join(dir, 'link'));
    await symlink(join(dir, 'nowhere'), join(dir, 'dangling'));
    await writeFile(join(dir, 'file'), '');
    const refusals = [];
    for (const name of ['link', 'dangling', 'file', 'file/below']) {
      refusals.push(await refusal(ensurePrivateFolder(join(dir, name))));
    }
    expect(refusals).toEqual([
      'FILE: Cannot use the folder DIR/link: it is a symbolic link',
      'FILE: Cannot use the folder DIR/dangling: it is a symbolic link',
      'FILE: Cannot use the folder DIR/file: it is not a folder',
      'FILE: Cannot use the folder DIR/file/below: a file stands in the way',
    ]);
  });
});

describe('the memory on disk', () => {
  const memory: SupervisorMemory = {
    wanted: [{ name: 'mail', profile: 'mail', cwd: '/home/ada' }],
    authSock: '/run/agent',
    ports: { mail: { pop: 40123 } },
  };

  test('is read back as it was written, from a file of its owner alone, with no draft left', async () => {
    const path = join(dir, 'state', 'wanted.json');
    await new StateFile(path).save(memory);
    expect(await new StateFile(path).load()).toEqual({ memory });
    expect([await mode(path), await readdir(join(dir, 'state'))]).toEqual(['600', ['wanted.json']]);
  });

  test('is empty where there is no file', async () => {
    expect(await new StateFile(join(dir, 'none.json')).load()).toEqual({ memory: NOTHING_REMEMBERED });
  });

  test.each([
    ['half a file', '{"wanted": ['],
    ['an empty file', ''],
    ['another kind of value', '[]'],
    ['a wish without a name', '{"wanted":[{"profile":"mail","cwd":"/"}],"ports":{}}'],
    ['a port beyond all ports', '{"wanted":[],"ports":{"mail":{"pop":70000}}}'],
  ])('%s is moved aside and said, and the next save works', async (_name, text) => {
    const path = join(dir, 'wanted.json');
    await writeFile(path, text);
    const file = new StateFile(path);
    const loaded = await file.load();
    expect(loaded.memory).toEqual(NOTHING_REMEMBERED);
    expect(loaded.problem).toBe(
      `Cannot understand ${path}: it is damaged, so no tunnel was restored from it. It was moved to ${path}.damaged`,
    );
    expect(await readFile(`${path}.damaged`, 'utf8')).toBe(text);
    await file.save(memory);
    expect(await file.load()).toEqual({ memory });
  });

  test('that cannot be written leaves the one before whole, and says why', async () => {
    const path = join(dir, 'wanted.json');
    await new StateFile(path).save(memory);
    await mkdir(`${path}.${process.pid}.new`); // what stands in the way of the draft
    expect(await refusal(new StateFile(path).save(NOTHING_REMEMBERED))).toBe(
      'FILE: Cannot write DIR/wanted.json: it is a folder',
    );
    expect(await new StateFile(path).load()).toEqual({ memory });
  });
});

describe('the log', () => {
  const at = '2026-01-01T00:00:00.000Z';
  const note = (message: string): StatusEvent => ({ event: 'note', at, tunnel: 'mail', level: 'info', message });
  const connection = (client: string, end: 'done' | 'TARGET_REFUSED'): StatusEvent => {
    const figures = { durationMs: 1, receivedBytes: 2, sentBytes: 3 };
    return { event: 'connection', at, tunnel: 'mail', forward: 'pop', client, target: 'pop:110', ...figures, end };
  };
  const status = (facts: Partial<TunnelStatus>): StatusEvent => {
    const base = { name: 'mail', state: 'up', since: at, via: null, latencyMs: 1, reconnects: 0 } as const;
    const none = { lastError: null, nextRetryAt: null, forwards: [] };
    return { event: 'tunnel', at, tunnel: 'mail', status: { ...base, ...none, ...facts } };
  };

  function open(rotateBytes?: number): { log: EventLog; clock: FakeClock; path: string; problems: string[] } {
    const path = join(dir, 'log', 'tunnel.jsonl');
    const clock = new FakeClock();
    const makeFolder = (): Promise<void> => ensurePrivateFolder(join(dir, 'log'));
    const problems: string[] = [];
    const onProblem = (message: string): void => void problems.push(message.replaceAll(dir, 'DIR'));
    const size = rotateBytes === undefined ? {} : { rotateBytes };
    const log = new EventLog({ path, clock, makeFolder, onProblem, ...size });
    return { log, clock, path, problems };
  }

  async function lines(path: string): Promise<unknown[]> {
    const text = await readFile(path, 'utf8');
    return text.split('\n').flatMap((line): unknown[] => (line === '' ? [] : [JSON.parse(line)]));
  }

  test('holds one object a line, for its owner alone', async () => {
    const { log, path } = open();
    log.write(note('one'));
    log.write(connection('127.0.0.1:5', 'done'));
    await log.close();
    expect([await lines(path), await mode(path)]).toEqual([[note('one'), connection('127.0.0.1:5', 'done')], '600']);
  });

  test('what a server wrote can neither forge a line nor act on a terminal', async () => {
    const { log, path } = open();
    log.write(note('hello\n{"event":"note"}\u001b[2J\u009b31m\u202e'));
    await log.close();
    const text = await readFile(path, 'utf8');
    expect(text.trimEnd()).not.toMatch(/[\0-\x1f\x7f-\x9f\u202e]/);
    expect(text.match(/\n/g)).toHaveLength(1);
  });

  test('a line that has nothing to clean is the same as one that was cleaned', () => {
    const plain = {
      event: 'note',
      at,
      tunnel: 'mail',
      level: 'info',
      message: 'Cannot reach it: [::1]:25 {x}',
    } as const;
    expect(formatLine(plain)).toBe(`${JSON.stringify(plain)}\n`);
    const values = [' a', 'a ', 'a\tb', 'a\nb', 'a\u001bb', 'a\u009bb', 'x'.repeat(3_000)].map((message) =>
      note(message),
    );
    for (const event of values) expect(formatLine(event)).not.toBe(`${JSON.stringify(event)}\n`);
  });

  test('finished connections of a moment are written together, and before anything else that is to be told', async () => {
    const { log, clock, path } = open();
    const many = [1, 2, 3].map((client) => connection(`127.0.0.1:${client}`, 'done'));
    for (const event of many) log.write(event);
    expect(clock.pending).toBe(1);
    await clock.advance(1_000);
    await flushed(path, '127.0.0.1:3');
    expect(await lines(path)).toEqual(many);

    log.write(connection('127.0.0.1:4', 'done'));
    log.write(note('now'));
    await flushed(path, 'now');
    expect(await lines(path)).toEqual([...many, connection('127.0.0.1:4', 'done'), note('now')]);
    expect(clock.pending).toBe(1); // of the note, which may come again
    await log.close();
  });

  test('a burst of one failure is a line at once and one with its number', async () => {
    const { log, clock, path } = open();
    for (let client = 1; client <= 1000; client += 1) log.write(connection(`127.0.0.1:${client}`, 'TARGET_REFUSED'));
    await clock.advance(FOLD_MS);
    log.write(connection('127.0.0.1:9', 'TARGET_REFUSED'));
    await log.close();
    expect(await lines(path)).toEqual([
      connection('127.0.0.1:1', 'TARGET_REFUSED'),
      { ...connection('127.0.0.1:1000', 'TARGET_REFUSED'), repeated: 999 },
      connection('127.0.0.1:9', 'TARGET_REFUSED'),
    ]);
    expect(clock.pending).toBe(0);
  });

  test('a status is written when more than its figures has changed', async () => {
    const { log, path } = open();
    for (const latencyMs of [1, 2, 3]) log.write(status({ latencyMs }));
    log.write(status({ state: 'retrying' }));
    await log.close();
    expect(await lines(path)).toEqual([status({ latencyMs: 1 }), status({ state: 'retrying' })]);
  });

  test('is moved aside when it is full, and only five such are kept', async () => {
    const { log, path } = open(200);
    for (let line = 0; line < 12; line += 1) {
      log.write(note(`line ${line} ${'x'.repeat(150)}`));
      await flushed(path, `line ${line} `);
    }
    await log.close();
    expect((await readdir(join(dir, 'log'))).sort()).toEqual([
      'tunnel.jsonl',
      ...[1, 2, 3, 4, 5].map((number) => `tunnel.jsonl.${number}`),
    ]);
    expect(await readFile(`${path}.5`, 'utf8')).toContain('line 6 ');
  });

  test('a folder that cannot be used costs the lines and is said once', async () => {
    const { log, path, problems } = open();
    await writeFile(join(dir, 'log'), 'a file stands here');
    log.write(note('lost'));
    await log.close();
    log.write(note('lost too'));
    await log.close();
    expect(problems).toEqual([
      'Cannot write the log DIR/log/tunnel.jsonl: Cannot use the folder DIR/log: it is not a folder',
    ]);
    await rm(join(dir, 'log'));
    log.write(note('kept'));
    await log.close();
    expect(await lines(path)).toEqual([note('kept')]);
  });

  test('a link in its place is not followed', async () => {
    const { log, path, problems } = open();
    await mkdir(join(dir, 'log'), { mode: 0o700 });
    await writeFile(join(dir, 'other'), 'mine');
    await symlink(join(dir, 'other'), path);
    log.write(note('one'));
    await log.close();
    expect([problems.length, await readFile(join(dir, 'other'), 'utf8')]).toEqual([1, 'mine']);
  });
});

/** Until the disk has that text: each write is one of its own, so that rotation has steps to take. */
async function flushed(path: string, text: string): Promise<void> {
  await eventually(async () => (await readFile(path, 'utf8').catch(() => '')).includes(text), { what: text });
}
