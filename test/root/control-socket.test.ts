// debian: util-linux
import { execFile } from 'node:child_process';
import { chmod, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
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
