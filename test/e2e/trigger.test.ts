import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freePort, startSshd, type TestSshd } from '../support/sshd.ts';
import { client, echo, TcpTarget, transcript } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

const [FIRST, SECOND] = ['127.0.0.2', '127.0.0.3'];

let cli: TunnelCli;
let sshd: TestSshd;
/** What the trigger leads to, and what the two clients listen with on one port: each says whose it is. */
let service: TcpTarget;
let phones: readonly [TcpTarget, TcpTarget];
/** Where the server is to listen while the trigger is in use. */
let returnPort: number;
let trigger: number;

const greets = (words: string) => (socket: Socket) => {
  socket.write(words);
  echo(socket);
};

beforeEach(async () => {
  [cli, service, returnPort] = await Promise.all([tunnelCli(), TcpTarget.start(echo), freePort()]);
  const first = await TcpTarget.start(greets('first'), FIRST, await freePort());
  phones = [first, await TcpTarget.start(greets('second'), SECOND, first.port)];
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
  await sshd.stop();
  for (const target of [service, ...phones]) await target.close();
});

/** Brings up the tunnel `t` with one trigger, on a server with these lines in its configuration. */
async function up(rules: string, config: readonly string[] = []): Promise<void> {
  sshd = await startSshd({ config });
  const opens = `opens: [ { remote: 127.0.0.1:${returnPort}, to: client:${phones[0].port} } ]`;
  const forward = `  - { trigger: 127.0.0.1:auto, to: 127.0.0.1:${service.port}, ${opens}, ${rules} }\n`;
  await cli.home.profile('t', `${viaSshd(sshd)}reconnect: { initial: 200ms, max: 1s }\nforwards:\n${forward}`);
  await cli.ok('up', 't');
  trigger = await cli.port('t');
}

/** Uses the trigger from an address and waits until it is served. */
async function use(address: string): Promise<Socket> {
  const socket = await client(trigger, '127.0.0.1', address);
  socket.write('register');
  await once(socket, 'data');
  return socket;
}

/** Waits until the trigger's ports are closed. */
async function idle(): Promise<void> {
  const isIdle = async (): Promise<boolean> => (await cli.status('t')).forwards[0]?.state === 'idle';
  await eventually(isIdle, { withinMs: 15_000, what: 'the trigger to be idle' });
}

/** Calls the return port on the server. @returns who answered; undefined where nobody listens */
async function whoAnswers(): Promise<string | undefined> {
  const socket = await client(returnPort).catch(() => undefined);
  if (socket === undefined) return undefined;
  const answered = Promise.race([once(socket, 'data'), once(socket, 'end').then(() => [])]);
  const [words] = (await answered.catch(() => [])) as [Buffer?];
  socket.destroy();
  return words?.toString();
}

test('a trigger opens its port on the server for who uses it, and closes it when there is no more traffic', async () => {
  await up('idle: 4s'); // what is asked before that must not outlast it
  expect(await whoAnswers()).toBeUndefined();
  expect(await cli.status('t')).toMatchObject({
    state: 'up',
    forwards: [{ kind: 'trigger', state: 'idle', idleClosesAt: null }],
  });

  const line = await use(FIRST);

  expect(await whoAnswers()).toBe('first');
  line.destroy();
  await idle();
  await eventually(async () => (await whoAnswers()) === undefined, { what: 'the port on the server to be closed' });
  const log = await cli.logged('t', `Closed the return ports for ${FIRST}`);
  expect(log).toContain(`Opened 127.0.0.1:${returnPort} -> ${FIRST}:${phones[0].port} for ${FIRST}`);
  expect(log).toContain(`Closed the return ports for ${FIRST} after 4s without traffic`);
});

test('a second client is refused while the first has the trigger, and has it after that', async () => {
  await up('idle: 4s');
  const line = await use(FIRST);

  // It may be reset before it knows that it was accepted.
  const second = await client(trigger, '127.0.0.1', SECOND).catch(() => undefined);
  expect(second === undefined ? '' : (await transcript(second)).text).toBe('');
  await cli.logged('t', `${FIRST} uses it, and only one may at a time`);
  line.destroy();
  await idle();
  await use(SECOND);

  expect(await whoAnswers()).toBe('second');
});

test('takeover: the port leads to the one who came last', async () => {
  await up('idle: 5m, clients: takeover');
  const line = await use(FIRST);
  expect(await whoAnswers()).toBe('first');
  const cut = transcript(line);

  await use(SECOND);

  expect((await cut).end).toBe('ECONNRESET');
  expect(await whoAnswers()).toBe('second');
});

test('queue: the second client waits until the ports of the first are closed', async () => {
  await up('idle: 4s, clients: queue');
  const line = await use(FIRST);
  const waiting = use(SECOND);
  line.end();

  await waiting;

  expect(await whoAnswers()).toBe('second');
});

test('`down` closes the port at once, whatever is left of its time', async () => {
  await up('idle: 5m');
  await use(FIRST);
  expect(await whoAnswers()).toBe('first');

  await cli.ok('down', 't', '--drain', '1s');

  await eventually(async () => (await whoAnswers()) === undefined, { what: 'the port on the server to be closed' });
});

test('after a loss of the link the port is open again for the same client', async () => {
  await up('idle: 5m');
  await use(FIRST);

  await sshd.killSessions();

  await eventually(async () => (await whoAnswers()) === 'first', { withinMs: 8_000 });
  await cli.becomes('t', 'up');
});

test('a server that forbids the port is told of in status, and no client is served half', async () => {
  await up('idle: 5m', ['PermitListen none']);

  const used = await client(trigger, '127.0.0.1', FIRST).catch(() => undefined);
  if (used !== undefined) expect((await transcript(used)).text).toBe('');

  const { forwards } = await cli.becomes('t', 'retrying');
  expect(forwards[0]).toMatchObject({ state: 'retrying', lastError: { code: 'FORWARD_REFUSED' } });
  expect(service.accepted).toBe(0);
});

test('on demand: no login before the trigger is used, and none is left when its ports are closed', async () => {
  await up('idle: 4s, open: on-demand');
  expect([(await cli.status('t')).state, sshd.logins]).toEqual(['idle', 0]);

  (await use(FIRST)).destroy();

  expect(await whoAnswers()).toBe('first');
  await cli.becomes('t', 'idle', 15_000);
  await eventually(async () => (await sshd.pids()).length === 1, { what: 'the end of the SSH session' });
});
