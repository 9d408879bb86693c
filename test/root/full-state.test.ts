// debian: mount
import { execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ask } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { TUNNEL, tunnelCli } from '../support/tunnel-cli.ts';

const run = promisify(execFile);

test('a state folder on a full disk is said once, and the tunnel goes on', { timeout: 40_000 }, async () => {
  await using stage = await foregroundOn('size=48k');
  await stage.fill();

  await stage.serves(/no space left/i);
  for (let count = 0; count < 20; count += 1) await ask(stage.port, 'more');

  expect(stage.said().match(/Cannot write the log/g)).toHaveLength(1);
  expect(await stage.cli.status('t')).toMatchObject({ state: 'up' });
});

test('a state folder that becomes read-only is said once, and the tunnel goes on', { timeout: 40_000 }, async () => {
  await using stage = await foregroundOn('size=1m');
  // Refused as busy for as long as a file there is open for writing: the log is, now and then.
  await eventually(() => run('mount', ['-o', 'remount,ro', stage.cli.home.stateDir]), { what: 'the other mount' });

  await stage.serves(/read-only/i);
  for (let count = 0; count < 20; count += 1) await ask(stage.port, 'more');

  expect(stage.said().match(/Cannot write the log/g)).toHaveLength(1);
  expect(await stage.cli.status('t')).toMatchObject({ state: 'up' });
});

/** A tunnel `t` in the foreground, its state folder a disk of its own, mounted with these options. */
async function foregroundOn(options: string) {
  const target = await TcpTarget.start(echo);
  const sshd = await startSshd();
  const cli = await tunnelCli();
  const { stateDir } = cli.home;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await run('mount', ['-t', 'tmpfs', '-o', `${options},mode=700`, 'tmpfs', stateDir]);
  const port = await freePort();
  await cli.home.profile('t', `${viaSshd(sshd)}forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n`);
  const child = spawn(process.execPath, [TUNNEL, 'up', 't', '--foreground'], { env: cli.home.env });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  await eventually(() => ask(port, 'first'), { withinMs: 15_000, what: 'the tunnel' });
  return {
    cli,
    port,
    said: () => said,
    /** Serves client after client, each with a line in the log, until it says so. */
    serves: (reason: RegExp) =>
      eventually(
        async () => {
          expect(await ask(port, 'client')).toBe('client');
          return reason.test(said);
        },
        { withinMs: 15_000, what: `the reason ${reason}` },
      ),
    /** Takes what room is left on the disk. */
    fill: () => writeFile(join(stateDir, 'filler'), Buffer.alloc(1024 * 1024)).catch(() => undefined),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await exited;
      await run('umount', [stateDir]);
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}
