import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask, echoes, talking } from '../support/clients.ts';
import { curl } from '../support/curl.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli } from '../support/tunnel-cli.ts';
import { WebTarget } from '../support/web-target.ts';

type Parts = { readonly dir: string; readonly echoPort: number };

/** Profile `t` with these forwards over a real sshd; not up yet. */
async function stage(forwards: (parts: Parts) => string, config: readonly string[] = []) {
  const target = await TcpTarget.start(echo);
  const sshd = await startSshd({ config });
  const cli = await tunnelCli();
  const head = `${viaSshd(sshd)}reconnect: { initial: 200ms, max: 1s }\nforwards:\n`;
  await cli.home.profile('t', `${head}${forwards({ dir: cli.home.dir, echoPort: target.port })}`);
  return {
    ...{ cli, sshd, target },
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await target.close();
    },
  };
}

test('a port that the server chooses leads here, is told, and stays over an outage', async () => {
  await using on = await stage(
    ({ echoPort }) => `  - { remote: "127.0.0.1:0", to: "127.0.0.1:${echoPort}", name: back }\n`,
  );

  const up = await on.cli.ok('up', 't');
  const port = Number((await on.cli.ok('port', 't')).stdout);
  const answer = await ask(port, 'from the server');
  await on.sshd.killSessions();
  await eventually(async () => (await on.cli.status('t')).reconnects === 1);
  await on.cli.becomes('t', 'up');

  expect(up.stdout).toMatch(new RegExp(`t +127.0.0.1:${port} -> 127.0.0.1:${on.target.port} +up +remote`));
  expect([answer, await ask(port, 'again')]).toEqual(['from the server', 'again']);
  const { forwards } = await on.cli.status('t');
  expect(forwards).toMatchObject([
    { kind: 'remote', bind: `127.0.0.1:${port}`, state: 'up', totalConnections: 2, lastError: null },
  ]);
});

test('what the server refuses at first is exit 8 and failed, and the others serve', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const taken = (holder.address() as { port: number }).port;
  await using on = await stage(
    ({ echoPort }) =>
      `  - { remote: "127.0.0.1:${taken}", to: "127.0.0.1:${echoPort}", name: refused }\n  - 127.0.0.1:auto -> 127.0.0.1:${echoPort}\n`,
  );

  const up = await on.cli.run('up', 't');
  const served = await ask(await on.cli.port('t', 1), 'served');
  holder.close();

  expect([up.code, served]).toEqual([8, 'served']);
  expect(up.stderr).toMatch(/the server refused.*PermitListen/s);
  const { state, forwards } = await on.cli.status('t');
  expect([state, ...forwards.map((forward) => forward.state)]).toEqual(['retrying', 'failed', 'up']);
  expect(forwards[0]?.lastError?.code).toBe('FORWARD_REFUSED');
});

test('a listener that the server still holds after an outage is waited out and explained', async () => {
  const port = await freePort();
  await using on = await stage(({ echoPort }) => `  - { remote: "127.0.0.1:${port}", to: "127.0.0.1:${echoPort}" }\n`);
  await on.cli.ok('up', 't');

  await on.sshd.kill();
  await on.cli.becomes('t', 'retrying');
  const holder = createServer().listen(port, '127.0.0.1');
  await once(holder, 'listening');
  await on.sshd.start();
  const waiting = await eventually(async () => {
    const { forwards } = await on.cli.status('t');
    return forwards[0]?.lastError?.code === 'FORWARD_REFUSED' ? forwards[0] : undefined;
  });
  holder.close();

  expect([waiting.state, waiting.lastError?.hint]).toEqual([
    'retrying',
    expect.stringContaining('ClientAliveInterval'),
  ]);
  await on.cli.becomes('t', 'up');
  expect(await ask(port, 'again')).toBe('again');
});

test('a restart moves the listener over, and what is open lives on', async () => {
  await using on = await stage(({ echoPort }) => `  - { remote: "127.0.0.1:0", to: "127.0.0.1:${echoPort}" }\n`);
  await on.cli.ok('up', 't');
  const port = await on.cli.port('t');
  const open = await talking(port);

  await on.cli.ok('restart', 't');
  await eventually(() => on.sshd.logins === 2);
  await on.cli.becomes('t', 'up');
  await echoes(open, 'still the same connection\n');

  expect(await on.cli.port('t')).toBe(port);
  // One server lets one connection at a time listen there: for a moment nobody does.
  expect(await eventually(() => ask(port, 'the new link'))).toBe('the new link');
  open.destroy();
});

test('a target that is away closes its client and is told; down frees the port', async () => {
  await using on = await stage(() => '  - { remote: "127.0.0.1:0", to: "127.0.0.1:1" }\n');
  await on.cli.ok('up', 't');
  const port = await on.cli.port('t');

  const answer = await ask(port, 'anybody?').catch(() => '');
  await on.cli.logged('t', 'Cannot connect to 127.0.0.1:1: Connection refused');
  await on.cli.ok('down', 't');

  expect(answer).toBe('');
  await eventually(() => refuses(port));
});

test('curl at the server reaches this network by a remote-socks forward, in each mode', async () => {
  await using web = await WebTarget.start();
  await using on = await stage(() => '  - remote-socks: 127.0.0.1:0\n');
  await on.cli.ok('up', 't');
  const proxy = `127.0.0.1:${await on.cli.port('t')}`;
  const url = `http://localhost:${web.port}/page`;

  const fetched = await Promise.all([
    curl('--socks5-hostname', proxy, url),
    curl('--socks4a', proxy, url),
    curl('--proxy', `http://${proxy}`, '-p', url),
  ]);
  const refused = await curl('--socks5-hostname', proxy, 'http://localhost:1/');

  expect(fetched.map(({ body }) => body)).toEqual(['served /page', 'served /page', 'served /page']);
  expect(refused).toMatchObject({ code: 97, said: expect.stringContaining('(5)') as string });
});

test('Unix sockets stand at either end of local and remote forwards, for their owner alone unless the profile says otherwise', async () => {
  await using on = await stage(
    ({ dir, echoPort }) => `
  - { remote: "unix:${dir}/on-server.sock", to: "127.0.0.1:${echoPort}", name: a }
  - { local: "127.0.0.1:auto", to: "unix:${dir}/on-server.sock", name: tcp-unix }
  - { local: "unix:${dir}/b.sock", to: "unix:${dir}/on-server.sock", name: unix-unix }
  - { local: "unix:${dir}/c.sock", to: "127.0.0.1:${echoPort}", name: unix-tcp, access: group }
  - { remote: "127.0.0.1:0", to: "unix:${dir}/c.sock", name: back }
`,
  );
  const { dir } = on.cli.home;

  await on.cli.ok('up', 't');
  const answers = await Promise.all([
    ask(await on.cli.port('t', 1), 'tcp-unix'),
    askAt(join(dir, 'b.sock'), 'unix-unix'),
    askAt(join(dir, 'c.sock'), 'unix-tcp'),
    ask(await on.cli.port('t', 4), 'remote-unix'),
  ]);

  expect(answers).toEqual(['tcp-unix', 'unix-unix', 'unix-tcp', 'remote-unix']);
  const modes = await Promise.all(['b.sock', 'c.sock'].map((name) => stat(join(dir, name))));
  expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(['600', '660']);
});

async function askAt(path: string, text: string): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  let answer = '';
  socket.setEncoding('utf8').on('data', (part: string) => (answer += part));
  socket.end(text);
  await once(socket, 'end');
  socket.destroy();
  return answer;
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const outcome = await Promise.race([
    once(socket, 'error').then(() => true),
    once(socket, 'connect').then(() => false),
  ]);
  socket.destroy();
  return outcome;
}
