/**
 * `npm test`, `npm run test:root` and `npm run test:interop`: sees to what the tests need from the system, then runs them.
 * A suite is skipped by nobody: what is missing and cannot be installed ends the run with the line that mends it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { prepareTrixie } from './support/trixie.ts';

const SUITES: Readonly<Record<string, readonly string[]>> = {
  all: ['test/unit', 'test/integration', 'test/e2e'],
  root: ['test/root'],
  interop: ['test/interop'],
};
/** Suites that change the system, or start servers in another root. */
const NEED_ROOT = ['root', 'interop'];

const suite = process.argv[2] ?? 'all';
const folders = SUITES[suite];
if (folders === undefined) fail(`There is no suite ${suite}; there are: ${Object.keys(SUITES).join(', ')}`);
if (NEED_ROOT.includes(suite) && getuid?.() !== 0) fail(`This suite needs root: sudo npm run test:${suite}`);

install([
  'openssh-server',
  'openssh-client',
  'curl',
  ...(NEED_ROOT.includes(suite) ? folders.flatMap(packagesNamedIn) : []),
]);
if (suite === 'interop') prepareTrixie();
const vitest = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...folders,
    '--reporter=default',
    '--reporter=./test/support/plain-reporter.ts',
  ],
  { stdio: 'inherit', env: { ...process.env, FORCE_COLOR: undefined } },
);
process.exit(vitest.status ?? 1);

/** Such a test says what it needs in its first lines: `// debian: gnome-keyring dbus-daemon`. */
function packagesNamedIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => /^\/\/ debian: (.+)$/m.exec(readFileSync(join(folder, file), 'utf8'))?.[1]?.split(' ') ?? []);
}

function install(packages: readonly string[]): void {
  const missing = packages.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (getuid?.() !== 0 || !existsSync('/usr/bin/apt-get'))
    fail(`The tests need ${missing.join(', ')}: sudo ${command}`);
  process.stdout.write(`Installing what the tests need: ${missing.join(', ')}\n`);
  // RUNLEVEL=1 keeps the package from starting a server of its own on port 22.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
  const done = spawnSync('sh', ['-c', `${command} -qq > /dev/null`], { stdio: 'inherit', env });
  if (done.status !== 0) fail(`Cannot install what the tests need: ${command}`);
}

function isInstalled(name: string): boolean {
  if (name === 'openssh-server') return existsSync('/usr/sbin/sshd');
  if (name === 'curl') return existsSync('/usr/bin/curl');
  if (name === 'openssh-client') return existsSync('/usr/bin/ssh');
  const asked = spawnSync('dpkg-query', ['-W', '-f', '${Status}', name], { encoding: 'utf8' });
  return asked.status === 0 && asked.stdout.includes('ok installed');
}

function fail(line: string): never {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
