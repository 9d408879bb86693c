import { expect, test } from 'vitest';
import { ask, echoes, talking } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';

test(
  'a reload keeps what is open through every kind of forward, and so does a restart',
  { timeout: 40_000 },
  async () => {
    await using target = await TcpTarget.start(echo);
    await using sshd = await startSshd();
    await using cli = await tunnelCli();
    const [to, back] = [`127.0.0.1:${target.port}`, await freePort()];
    const forwards = [
      `{ local: 127.0.0.1:auto, to: "${to}" }`,
      `{ remote: "127.0.0.1:0", to: "${to}" }`,
      `{ trigger: 127.0.0.1:auto, to: "${to}", opens: [ { remote: "127.0.0.1:${back}", to: "client:${target.port}" } ] }`,
      `{ relay: 127.0.0.1:auto, to: "${to}" }`,
    ];
    const write = (more: readonly string[]): Promise<string> =>
      cli.home.profile(
        't',
        `${viaSshd(sshd)}forwards:\n${[...forwards, ...more].map((one) => `  - ${one}\n`).join('')}`,
      );
    await write([]);
    await cli.ok('up', 't');
    const ports = await Promise.all(forwards.map((_, index) => cli.port('t', index)));
    const open = await Promise.all([...ports.map((port) => talking(port))]);
    open.push(await talking(back)); // open since the trigger is used

    await write([`127.0.0.1:auto -> ${to}`]);
    await cli.ok('reload', 't');
    for (const socket of open) await echoes(socket, 'after the reload\n');
    const logins = sshd.logins;
    const added = await ask(await cli.port('t', 4), 'the new one');
    await cli.ok('restart', 't');
    await eventually(() => sshd.logins > logins, { what: 'the new connection' }); // the old one serves until then
    for (const socket of open) await echoes(socket, 'after the restart\n');

    expect([logins, sshd.logins, added]).toEqual([1, 2, 'the new one']);
    expect(await Promise.all(forwards.map((_, index) => cli.port('t', index)))).toEqual(ports);
    for (const socket of open) socket.destroy();
  },
);

test('an edit of the only forward keeps the connection, and one of the server leads to the new server', async () => {
  await using target = await TcpTarget.start(echo);
  await using old = await startSshd();
  await using next = await startSshd();
  await using cli = await tunnelCli();
  const ports = [await freePort(), await freePort(), await freePort()];
  const write = (sshd: TestSshd, port = 0): Promise<string> =>
    cli.home.profile('t', `${viaSshd(sshd)}forwards:\n  - 127.0.0.1:${port} -> 127.0.0.1:${target.port}\n`);
  await write(old, ports[0]);
  await cli.ok('up', 't');

  await write(old, ports[1]);
  await cli.ok('reload', 't');
  expect(await ask(ports[1] ?? 0, 'another port')).toBe('another port');
  expect(old.logins).toBe(1);

  await write(next, ports[2]);
  await cli.ok('reload', 't');
  await eventually(() => next.logins === 1, { what: 'a login at the new server' });
  expect(await ask(ports[2] ?? 0, 'another server')).toBe('another server');
  await eventually(async () => (await old.pids()).length === 1, { what: 'the end of the old connection' });
  expect([old.logins, next.logins]).toEqual([1, 1]);
});
