import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ServerChannel } from 'ssh2';
import { expect, onTestFinished, test } from 'vitest';
import type { Transport } from '../../src/link/transport.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { HopPlan } from '../../src/model/plan.ts';
import { eventually } from '../support/eventually.ts';
import { faultyPath } from '../support/faulty-path.ts';
import { forwardOver } from '../support/forward-over.ts';
import { aDial, aHop, aRequest, sshdHop } from '../support/ssh-dial.ts';
import { startScriptedServer, type ScriptedServer } from '../support/ssh-server.ts';
import { startSshd } from '../support/sshd.ts';
import { client, echo, TcpTarget } from '../support/tcp-target.ts';
import { tempHome } from '../support/temp-home.ts';

const MIB = 1024 * 1024;

test('a byte of another channel does not wait behind the window of an upload', { timeout: 30_000 }, async () => {
  const sshd = await startSshd({ config: ['LogLevel ERROR'] });
  onTestFinished(() => sshd.stop());
  await using path = await faultyPath(sshd.port);
  path.throttle(8 * MIB); // so that what is under way gathers there, and not in this process

  const { sent, received, between } = await besideUpload(await dialled(sshdHop(sshd, { port: path.port })), 16);

  expect(received).toBe(sent);
  expect(median(between)).toBeLessThan(MIB);
});

test.each([
  ['widens its window by halves', 0],
  ['does so after a first step of one byte', 1],
])('an upload beside it does not stand still at a server that %s', { timeout: 30_000 }, async (_name, firstStep) => {
  await using server = await startScriptedServer({
    onConnection: (connection) => {
      connection.on('tcpip', (accept, _reject, { destPort }) => passOn(accept(), destPort, firstStep));
    },
  });

  const { sent, received, bytes } = await besideUpload(await dialled(await scriptedHop(server)), 400);

  expect(received).toBe(sent);
  expect(bytes).toBeGreaterThan(2 * MIB);
});

/** What of a channel of ssh2's server is used here. */
interface Inside {
  readonly outgoing: { readonly id: number };
  readonly _client: { readonly _protocol: { channelWindowAdjust(channel: number, bytes: number): void } };
}

/** What an SSH server does with a forwarded connection; ssh2 widens a window when half of it was used. */
function passOn(channel: ServerChannel, port: number, firstStep: number): void {
  const target = connect({ port, host: '127.0.0.1', noDelay: true });
  target.pipe(channel).pipe(target);
  if (firstStep === 0) return;
  channel.once('data', () => {
    const { outgoing, _client } = channel as unknown as Inside;
    _client._protocol.channelWindowAdjust(outgoing.id, firstStep);
  });
}

/** Uploads for as long as `pings` take. @returns how much of it arrived between each ping and its echo, and hashes of both ends */
async function besideUpload(transport: Transport, pings: number) {
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  let arrived = 0;
  const sink = await TcpTarget.start((socket) =>
    socket.on('data', (chunk: Buffer) => {
      arrived += chunk.length;
      received.update(chunk);
    }),
  );
  const echoing = await TcpTarget.start(echo);
  const [up, side] = [await forwardOver(transport, sink.endpoint), await forwardOver(transport, echoing.endpoint)];
  onTestFinished(async () => {
    for (const one of [up.forward, side.forward]) await one.close(0);
    for (const one of [sink, echoing]) await one.close();
  });
  const upload = await client(up.port);
  let enough = false;
  const uploaded = uploadUntil(upload, sent, () => enough);
  const between: number[] = [];
  const pinging = await client(side.port);
  for (let ping = 0; ping < pings; ping += 1) {
    const before = arrived;
    pinging.write('x');
    await once(pinging, 'data');
    between.push(arrived - before);
  }
  enough = true;
  const bytes = await uploaded;
  await eventually(() => arrived === bytes, { withinMs: 10_000 });
  return { between, bytes, sent: sent.digest('hex'), received: received.digest('hex') };
}

async function uploadUntil(
  socket: Socket,
  hash: ReturnType<typeof createHash>,
  enough: () => boolean,
): Promise<number> {
  const chunk = randomFillSync(Buffer.allocUnsafe(200_003));
  let bytes = 0;
  while (!enough()) {
    hash.update(chunk);
    bytes += chunk.length;
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.end();
  return bytes;
}

async function scriptedHop(server: ScriptedServer): Promise<HopPlan> {
  const home = await tempHome();
  onTestFinished(() => home.remove());
  const knownHosts = join(home.dir, 'known');
  await writeFile(knownHosts, server.knownHosts);
  return aHop({ port: server.port, knownHosts: [knownHosts] });
}

async function dialled(hop: HopPlan): Promise<Transport> {
  const transport = await aDial()(aRequest([hop]).request);
  onTestFinished(() => transport.destroy(new TunnelError('STOPPED', 'The test is over')));
  return transport;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
