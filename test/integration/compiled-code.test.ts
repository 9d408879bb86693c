import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepCompiledCode, type CompileCache } from '../../src/files/compiled-code.ts';

const VERSION = '1.2.3';

let stateDir: string;
beforeEach(async () => void (stateDir = await mkdtemp(join(tmpdir(), 'tunnel-code-'))));
afterEach(() => rm(stateDir, { recursive: true }));

/** Stands in for Node's cache, which Node 20 has not: writes as it does, one file below a folder for the build of Node. */
class Cache implements CompileCache {
  readonly file: string;
  folder: string | undefined;

  constructor(file = 'c3b5b67e') {
    this.file = file;
  }

  readonly enable = (folder: string): { directory?: string } => {
    mkdirSync(join(folder, 'v24-x64'), { recursive: true });
    this.folder = folder;
    return { directory: folder };
  };

  readonly flush = (): void => writeFileSync(join(this.folder ?? '', 'v24-x64', this.file), 'code');
}

const kept = (): Promise<string[]> => readdir(join(stateDir, 'compiled'), { recursive: true });

test('compiled code lies in a folder that nobody else can read or write, one that was open included', async () => {
  await mkdir(join(stateDir, 'compiled'));
  await chmod(join(stateDir, 'compiled'), 0o777);
  const code = await keepCompiledCode({ stateDir }, VERSION, new Cache());
  expect((await stat(join(stateDir, 'compiled'))).mode & 0o777).toBe(0o700);
  await code.finish();
});

test('no code is run from behind a link: it may be of somebody else', async () => {
  await symlink(tmpdir(), join(stateDir, 'compiled'));
  const cache = new Cache();
  const code = await keepCompiledCode({ stateDir }, VERSION, cache);
  expect(code.without?.message).toBe(`Cannot use the folder ${join(stateDir, 'compiled')}: it is a symbolic link`);
  await code.finish();
  expect(cache.folder).toBeUndefined();
});

test('at the end the code of this build is written, and that of others is gone', async () => {
  for (const build of [`0.0.1-home-abc.js-${process.version}`, `${VERSION}-home-abc.js-v24.0.0`]) {
    await mkdir(join(stateDir, 'compiled', build, 'v24-x64'), { recursive: true });
    await writeFile(join(stateDir, 'compiled', build, 'v24-x64', '1fe85e1c'), 'old');
  }
  const code = await keepCompiledCode({ stateDir }, VERSION, new Cache());
  await code.finish();
  await code.finish();
  const own = `${VERSION}-compiled-code.ts-${process.version}`;
  expect((await kept()).sort()).toEqual([own, join(own, 'v24-x64'), join(own, 'v24-x64', 'c3b5b67e')]);
});

test('where a file could not be written whole there is no folder any more into which the rest could be written later', async () => {
  const cache = new Cache('c3b5b67e.Awpwuz');
  const code = await keepCompiledCode({ stateDir }, VERSION, cache);
  await code.finish();
  expect(await kept()).toEqual([]);
  expect(cache.flush).toThrow('ENOENT');
});

test('a folder that goes while a supervisor runs is not missed', async () => {
  const cache = new Cache();
  const code = await keepCompiledCode({ stateDir }, VERSION, { ...cache, flush: () => undefined });
  await rm(join(stateDir, 'compiled'), { recursive: true });
  await code.finish();
  expect(await readdir(stateDir)).toEqual([]);
});

test('where keeping code is switched off none is kept', async () => {
  const flush = (): never => {
    throw new Error('asked to write');
  };
  const code = await keepCompiledCode({ stateDir }, VERSION, { enable: () => ({}), flush });
  await code.finish();
  expect(await kept()).toEqual([]);
});
