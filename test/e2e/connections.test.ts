import { expect, test } from 'vitest';
import { ask, closing, echoes, talking } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signalAll, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** Channels on each SSH connection. */
async function spread(cli: TunnelCli): Promise<readonly number[]> {
  return (await cli.status('t')).connections?.map(({ channels }) => channels) ?? [];
}

/** A session's processes, the parent first: it ends with its child, and may be gone before it is its turn. */
function end(pids: readonly number[]): void {
  signalAll(pids.toReversed(), 'SIGKILL');
}

test('connections: 2 spreads clients over two logins, and either may be lost alone', async () => {
  const target = await TcpTarget.start(echo);
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const forwards = `forwards: ['127.0.0.1:auto -> 127.0.0.1:${target.port}']\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}connections: 2\n${forwards}`);
  await cli.ok('up', 't');
  const port = await cli.port('t');

  const first = [await talking(port)];
  const firstPids = await sshd.pids(); // a channel is open: these are the processes that the session keeps
  first.push(await talking(port)); // the second login begins
  await eventually(async () => expect(await spread(cli)).toEqual([2, 0]), { withinMs: 8_000 });
  const second = [await talking(port), await talking(port)];
  expect(await spread(cli)).toEqual([2, 2]);
  expect((await cli.ok('status', '-v')).stdout).toContain('2 SSH connections: 2 channels');

  end((await sshd.pids()).filter((pid) => !firstPids.includes(pid)));
  await Promise.all(second.map(closing));
  for (const client of first) await echoes(client, 'still here');
  expect(await ask(port, 'and new')).toBe('and new');
  expect((await cli.status('t')).state).toBe('up');
  for (const client of first) client.destroy();
  await target.close();
});

test('the tunnel stays up over the second connection when the first is lost', async () => {
  const target = await TcpTarget.start(echo);
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  const forwards = `forwards: ['127.0.0.1:auto -> 127.0.0.1:${target.port}']\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}connections: 2\n${forwards}`);
  const listener = await sshd.pids();
  await cli.ok('up', 't');
  const port = await cli.port('t');

  const first = [await talking(port)];
  // A channel is open: these are the processes that the session keeps.
  const firstPids = (await sshd.pids()).filter((pid) => !listener.includes(pid));
  first.push(await talking(port)); // the second login begins
  await eventually(async () => expect(await spread(cli)).toEqual([2, 0]), { withinMs: 8_000 });
  const third = await talking(port);
  end(firstPids);
  await Promise.all(first.map(closing));
  await echoes(third, 'still here');
  expect(await ask(port, 'and new')).toBe('and new');
  expect((await cli.status('t')).state).toBe('up');
  third.destroy();
  await target.close();
});
