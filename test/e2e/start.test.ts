import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir, rm, stat, symlink } from 'node:fs/promises';
import * as nodeModule from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { readLock } from '../../src/daemon/lock-file.ts';
import { livenessOf } from '../../src/daemon/process-identity.ts';
import { eventually } from '../support/eventually.ts';
import { startSshd } from '../support/sshd.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));
const LOG = fileURLToPath(new URL('../support/module-log.mjs', import.meta.url));

interface Loaded {
  /** Paths from the package's folder, hashes left out. */
  readonly files: readonly string[];
  /** Modules of Node's own. */
  readonly builtins: readonly string[];
}

/** What a command line loads until it ends. */
async function loadedBy(cli: TunnelCli, ...args: readonly string[]): Promise<Loaded> {
  const { code, stdout, stderr } = await cli.runWith({ env: { NODE_OPTIONS: `--import=${LOG}` } }, ...args);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/./) as string });
  const lines = stderr.split('\n');
  const of = (kind: string): string[] =>
    lines.filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1));
  const root = new URL('../../', import.meta.url).href;
  const files = of('file').map((url) => url.replace(root, '').replace(/-[\w-]{8}\.cjs$/, '.cjs'));
  return { files: [...new Set(files)].filter((file) => !NO_MATTER.test(file)), builtins: of('node') };
}

const ENTRY = ['bin/tunnel.js', 'dist/cli/main.cjs', 'dist/chunks/thin.cjs'];
/** The test's own, and the few lines that the build puts between files. */
const NO_MATTER = /^test\/|\/rolldown-runtime\.cjs$/;
/** Costly to load, and of no use to whoever only asks. */
const COSTLY = ['crypto', 'child_process', 'fs/promises', 'readline', 'dns', 'tls', 'perf_hooks'];

describe('what is run again and again loads little', () => {
  test.each([
    [['--help'], []],
    [['--version'], []],
    [['help', 'status'], []],
    [['completion', 'bash'], []],
    [['__complete', '--', 'sta'], []],
    [['status'], ['dist/chunks/ask.cjs']],
    [['status', '--json', '-v'], ['dist/chunks/ask.cjs']],
    [['list'], ['dist/chunks/ask.cjs']],
    [['version'], ['dist/chunks/ask.cjs']],
  ])('%j', async (args, more) => {
    await using cli = await tunnelCli();
    await cli.home.profile('pop-mail', 'via: pop.example.org\nforwards: ["127.0.0.1:0 -> localhost:110"]\n');
    const { files, builtins } = await loadedBy(cli, ...args);
    expect(files).toEqual([...ENTRY, ...more]);
    expect(builtins.filter((name) => COSTLY.includes(name))).toEqual([]);
  });

  test('status, with a supervisor to ask', async () => {
    await using cli = await tunnelCli();
    await cli.ok('daemon', 'restart');
    const { files, builtins } = await loadedBy(cli, 'status');
    expect(files).toEqual([...ENTRY, 'dist/chunks/ask.cjs']);
    expect(builtins.filter((name) => COSTLY.includes(name))).toEqual([]);
  });
});

test('a supervisor goes on logging in after its files were replaced, as an update does', async () => {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const old = join(cli.home.dir, 'installed');
  for (const part of ['bin', 'dist', 'package.json'])
    await cp(join(PACKAGE, part), join(old, part), { recursive: true });
  await symlink(join(PACKAGE, 'node_modules'), join(old, 'node_modules'));
  await promisify(execFile)(process.execPath, [join(old, 'bin/tunnel.js'), 'daemon', 'restart'], { env: cli.home.env });
  await rm(old, { recursive: true });
  await cli.home.profile('later', `${viaSshd(sshd)}forwards: ['127.0.0.1:0 -> 127.0.0.1:${sshd.port}']\n`);
  await cli.ok('up', 'later');
  expect(await cli.port('later')).toBeGreaterThan(0);
});

describe('a supervisor keeps its compiled code where Node can', () => {
  const CAN = 'flushCompileCache' in nodeModule; // Node 22.10 and later: before, the folder is left alone

  /** What a supervisor has kept once its process is gone, with the times of writing; and when it gave its home back. */
  async function atItsEnd(cli: TunnelCli): Promise<{ kept: Record<string, number>; freedAtMs: number }> {
    const lock = readLock(join(cli.home.stateDir, 'supervisor.lock'));
    if (lock === undefined) throw new Error('No supervisor runs');
    await cli.ok('daemon', 'stop');
    await eventually(async () => (await livenessOf(lock)) === 'dead');
    const folder = join(cli.home.stateDir, 'compiled');
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    const times = names.map(async (name) => [name, (await stat(join(folder, name))).mtimeMs] as const);
    const { mtimeMs } = await stat(cli.home.stateDir); // the last change there: the lock was taken away
    return { kept: Object.fromEntries(await Promise.all(times)), freedAtMs: mtimeMs };
  }

  test('and writes none once it gave its home back, nor what it has read', async () => {
    await using cli = await tunnelCli();
    await cli.ok('daemon', 'restart');
    const first = await atItsEnd(cli);
    expect(Object.keys(first.kept).length > 10).toBe(CAN);
    expect(Math.max(0, ...Object.values(first.kept))).toBeLessThanOrEqual(first.freedAtMs);
    await cli.ok('daemon', 'restart');
    expect((await atItsEnd(cli)).kept).toEqual(first.kept);
  });

  test('in a private folder, and none of another version', async () => {
    await using cli = await tunnelCli();
    const folder = join(cli.home.stateDir, 'compiled');
    await mkdir(join(folder, '0.0.1-old'), { recursive: true });
    await chmod(folder, 0o755);
    await cli.ok('daemon', 'restart');
    await cli.ok('daemon', 'stop');
    const version = (await cli.ok('--version')).stdout.trim();
    expect(await readdir(folder)).toEqual([CAN ? expect.stringContaining(`${version}-`) : '0.0.1-old']);
    expect((await stat(folder)).mode & 0o777).toBe(CAN ? 0o700 : 0o755);
  });
});
