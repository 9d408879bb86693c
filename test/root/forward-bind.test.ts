// debian: iproute2 util-linux
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { echo, TcpTarget } from '../support/tcp-target.ts';

const run = promisify(execFile);
const NOBODY = 65_534;

/** Runs in a network of its own, where ports and addresses are as a fresh system has them. */
async function report(setUp: string, ...argv: readonly (string | number)[]): Promise<unknown> {
  const line = `ip link set lo up && ${setUp} && exec "$0" --import tsx test/support/bind-report.ts ${argv.join(' ')}`;
  const { stdout } = await run('unshare', ['-n', 'sh', '-c', line, process.execPath]);
  return JSON.parse(stdout);
}

test('an ordinary user who binds port 113 reads the reason and the three remedies', async () => {
  expect(await report('true', 'localhost', 113, NOBODY)).toMatchObject({
    error: {
      code: 'BIND_DENIED',
      exit: 6,
      message: 'Cannot bind localhost:113: bind [127.0.0.1]:113: Permission denied',
      hint: expect.stringMatching(
        /such as 1113; .*ip_unprivileged_port_start=113.*setcap .*; or run .* service/,
      ) as string,
    },
  });
});

test('a machine without IPv6 has localhost at 127.0.0.1 alone, and is told', async () => {
  const setUp = 'echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6';
  expect(await report(setUp, 'localhost', 1113)).toEqual({
    bound: { kind: 'tcp', host: 'localhost', port: 1113 },
    notes: ['::1 is left out: this machine does not have that address'],
  });
});

test("another user's program that holds the port is told by its user", async () => {
  await using holder = await TcpTarget.start(echo);
  const argv = ['--import', 'tsx', 'test/support/bind-report.ts', 'localhost', String(holder.port), String(NOBODY)];
  const { stdout } = await run(process.execPath, argv);
  expect(JSON.parse(stdout)).toMatchObject({
    error: {
      code: 'BIND_IN_USE',
      message: expect.stringContaining('Address already in use (held by a process of user root)') as string,
    },
  });
});
