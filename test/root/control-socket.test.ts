// debian: util-linux
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { tunnelStage } from '../support/tunnel-stage.ts';

const run = promisify(execFile);
const NOBODY = '65534';
const KNOCK = `require('net').connect(process.argv[1]).on('connect', () => console.log('in')).on('error', (error) => console.log(error.code))`;

test(
  'another user gets into the control socket by no way, though the home itself is open',
  { timeout: 40_000 },
  async () => {
    await using on = await tunnelStage();
    await on.profile('t');
    await on.proves('t');
    await chmod(on.cli.home.dir, 0o755); // the test's own folder would keep everybody out before ours does
    const lock = await readFile(`${on.cli.home.stateDir}/supervisor.lock`, 'utf8');
    const { socket } = JSON.parse(lock) as { socket: string };
    const as = (uid: string) =>
      run('setpriv', ['--reuid', uid, '--regid', uid, '--clear-groups', process.execPath, '-e', KNOCK, socket], {
        timeout: 5_000,
        killSignal: 'SIGKILL',
      }).catch((error: { stdout: string }) => error);

    expect((await as(NOBODY)).stdout).toBe('EACCES\n');
    expect((await as('0')).stdout).toBe('in\n'); // its owner: the way there is right
  },
);

/** Takes the place of the control socket in a folder that all may write to, and tells who calls there. */
const SQUAT = `
const [folder] = process.argv.slice(1);
require('fs').mkdirSync(folder, { recursive: true });
require('net').createServer(() => console.log('called')).listen(folder + '/supervisor.sock', () => console.log('there'));`;

interface Squatter {
  /** Every line that it said. */
  readonly said: () => string;
}

async function squat(folder: string): Promise<Squatter> {
  const as = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'];
  const child = spawn('setpriv', [...as, process.execPath, '-e', SQUAT, folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill());
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  await once(child.stdout, 'data');
  return { said: () => said };
}

test(
  'where another user has made the runtime folder first, nobody speaks to their socket',
  { timeout: 40_000 },
  async () => {
    await using on = await tunnelStage();
    await on.profile('t');
    const home = on.cli.home.dir;
    await chmod(home, 0o755);
    const runtime = join(home, 'shared');
    await mkdir(runtime);
    await chmod(runtime, 0o1777); // as /tmp is
    const squatter = await squat(join(runtime, 'tunnel'));
    // The same folders as the stage's own, but for the runtime folder that the environment names.
    const env = { TUNNEL_HOME: '', XDG_CONFIG_HOME: home, XDG_STATE_HOME: join(home, 'xdg'), XDG_RUNTIME_DIR: runtime };
    const run = (...args: readonly string[]) => on.cli.runWith({ env }, ...args);

    const up = await run('up', 't');
    const status = await run('status', 't');
    const lockFile = join(home, 'xdg', 'tunnel', 'supervisor.lock');
    const lock = await readFile(lockFile, 'utf8');
    // And a lock that leads to it, as when the folder was ours before.
    await writeFile(
      lockFile,
      lock.replace(/"socket":\s*"[^"]*"/, `"socket":"${join(runtime, 'tunnel', 'supervisor.sock')}"`),
    );
    const misled = await run('status', 't');
    await writeFile(lockFile, lock);
    const down = await run('daemon', 'stop');

    expect([up.code, status.code, down.code]).toEqual([0, 0, 0]);
    expect(JSON.parse(lock)).toMatchObject({ socket: join(home, 'xdg', 'tunnel', 'run', 'supervisor.sock') });
    expect(misled.stderr).toContain('belongs to another user');
    expect(squatter.said()).toBe('there\n');
  },
);
