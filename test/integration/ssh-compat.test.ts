import ssh2, { type Client } from 'ssh2';
import { expect, onTestFinished, test } from 'vitest';
import { silenceWhenDead } from '../../src/ssh/compat/dead-protocol.ts';
import { protocolOf, requestQueueOf } from '../../src/ssh/compat/protocol.ts';
import { startScriptedServer, type ScriptedServer } from '../support/ssh-server.ts';

/** A bare ssh2 client, compressed, whose connection was then lost. */
async function lostClient(server: ScriptedServer, prepare: (client: Client) => void): Promise<Client> {
  const client = new ssh2.Client();
  onTestFinished(() => void client.destroy());
  client.on('error', () => undefined);
  const ready = new Promise<void>((resolve) => client.once('ready', () => resolve()));
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.connect({
    host: '127.0.0.1',
    port: server.port,
    username: 'tester',
    password: 'any',
    algorithms: { compress: ['zlib@openssh.com'] },
  });
  prepare(client);
  await ready;
  for (const socket of server.sockets) socket.destroy();
  await closed;
  return client;
}

test('ssh2 throws out of a write after a compressed connection is lost; silenced it does nothing', async () => {
  await using server = await startScriptedServer();
  const bare = await lostClient(server, () => undefined);
  expect(() => protocolOf(bare).ping()).toThrow('Invalid Zlib instance'); // when this passes no more, the guard may go
  const guarded = await lostClient(server, (client) => silenceWhenDead(protocolOf(client)));
  expect(() => protocolOf(guarded).ping()).not.toThrow();
});

test('another ssh2 is noticed before anything is built on its inside', () => {
  expect(() => protocolOf(new ssh2.Client())).toThrow(/not version 1\.17\.0/);
  expect(() => requestQueueOf(new ssh2.Client())).toThrow(/not version 1\.17\.0/);
});
