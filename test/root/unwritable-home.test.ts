// debian: mount
import { execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { TUNNEL, tunnelCli } from '../support/tunnel-cli.ts';

const run = promisify(execFile);

// A container with a read-only disk could not run a tunnel at all, and was told "it does not exist" or "Cannot remove".
test('in the foreground a tunnel runs although the home is read-only from the start, and says so once', async () => {
  await using stage = await onDisk(['size=64k', 'ro']);
  const child = spawn(process.execPath, [TUNNEL, 'up', 't', '--foreground'], { env: stage.env });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = new Promise((resolve) => child.once('exit', resolve));

  await eventually(() => ask(stage.port, 'hello'), { withinMs: 15_000, what: 'the tunnel' });
  child.kill('SIGTERM');

  expect(await exited).toBe(0);
  expect(said.match(/supervisor\.lock: the file system is read-only; the tunnels run without it/g)).toHaveLength(1);
});

test('in the background a read-only home is the reason that is given, with what to do', async () => {
  await using stage = await onDisk(['size=64k', 'ro']);

  const { code, stderr } = await stage.run('up', 't');

  expect(code).toBe(1);
  expect(stderr).toMatch(/Cannot use the folder .*: the file system is read-only\n {2}See that it can be written/);
});

// The supervisor's last words went to the full disk too, and all that was left was "it ended (status 1)".
test('in the background a full disk is the reason that is given', async () => {
  await using stage = await onDisk(['size=8k', 'nr_inodes=16']);
  await run('dd', ['if=/dev/zero', `of=${stage.stateDir}/filler`, 'bs=4k'], { env: process.env }).catch(
    () => undefined,
  );

  const { code, stderr } = await stage.run('up', 't');

  expect(code).toBe(1);
  expect(stderr).toContain('the disk is full');
});

/** A home with the tunnel `t`, whose state folder is a disk of its own. */
async function onDisk(options: readonly string[]) {
  const target = await TcpTarget.start(echo);
  const sshd = await startSshd();
  const cli = await tunnelCli();
  const { stateDir } = cli.home;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await run('mount', ['-t', 'tmpfs', '-o', [...options, 'mode=700'].join(','), 'tmpfs', stateDir]);
  const port = await freePort();
  await cli.home.profile('t', `${viaSshd(sshd)}forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n`);
  return {
    port,
    stateDir,
    env: cli.home.env,
    run: cli.run.bind(cli),
    async [Symbol.asyncDispose]() {
      // Busy for as long as a supervisor that gave up is on its way out.
      await eventually(() => run('umount', [stateDir]), { what: 'the disk to be let go' });
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}
