import { join } from 'node:path';
import { ask, closing, echoes, talking } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { Knocker } from '../support/knocker.ts';
import { UdpClient, UdpTarget } from '../support/relay-fixture.ts';
import { startSshd } from '../support/sshd.ts';
import { echo, TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** What clients saw of a supervisor that was replaced again and again. */
export interface Restarts {
  /** By the kind of listener. */
  readonly clients: Readonly<Record<'tcp' | 'unix' | 'relay', Knocker['fates']>>;
  /** A connection that was open before the first restart carried bytes after the last. */
  readonly openLivedOn: boolean;
  readonly remoteServes: boolean;
  readonly datagramsPass: boolean;
  /** Supervisors that ran at the end, this home's own included. */
  readonly pids: readonly number[];
  readonly slowestMs: number;
}

/** Replaces the supervisor of a home so many times, while clients come without a pause to every kind of listener. */
export async function runRestarts(
  count: number,
  onRestart: (tookMs: number) => void = () => undefined,
): Promise<Restarts> {
  await using on = await stage();
  const { cli, path } = on;
  const [port, , relayPort, udpPort, remotePort] = await Promise.all([0, 1, 2, 3, 4].map((at) => cli.port('t', at)));
  const open = await talking(port ?? 0);
  open.setMaxListeners(0); // each look at it adds one
  open.once('close', () => (openLivedOn = false));
  let openLivedOn = true;
  const knockers = {
    tcp: new Knocker({ port: port ?? 0 }),
    unix: new Knocker({ path }, 1),
    relay: new Knocker({ port: relayPort ?? 0 }, 1),
  };
  const pids = [await cli.supervisorPid()];
  let slowestMs = 0;
  for (let done = 0; done < count; done += 1) {
    const tookMs = await restart(cli);
    onRestart(tookMs);
    slowestMs = Math.max(slowestMs, tookMs);
    pids.push(await cli.supervisorPid());
    if (openLivedOn) await echoes(open, `after restart ${done}\n`);
  }
  await cli.becomes('t', 'up');
  const clients = {
    tcp: await knockers.tcp.stop(),
    unix: await knockers.unix.stop(),
    relay: await knockers.relay.stop(),
  };
  const remoteServes = (await ask(remotePort ?? 0, 'from the server')) === 'from the server';
  const datagramsPass = await datagram(udpPort ?? 0);
  const lived = openLivedOn;
  const closed = closing(open);
  open.destroy();
  await closed;
  const last = await cli.supervisorPid();
  await eventually(() => pids.filter(isRunning).every((pid) => pid === last), { withinMs: 10_000 });
  return {
    clients,
    openLivedOn: lived,
    remoteServes,
    datagramsPass,
    pids: [...new Set(pids)].filter(isRunning),
    slowestMs,
  };
}

async function restart(cli: TunnelCli): Promise<number> {
  const fromMs = performance.now();
  const { stderr } = await cli.ok('daemon', 'restart');
  if (!stderr.includes('no client was refused')) throw new Error(`It was restarted in the ordinary way: ${stderr}`);
  return performance.now() - fromMs;
}

async function datagram(port: number): Promise<boolean> {
  using client = new UdpClient(port);
  client.send('datagram');
  return await eventually(() => client.heard.includes('datagram'));
}

/** Tunnel `t`: a TCP listener, a unix socket, a relay, a relay of datagrams and a listener on the server. */
async function stage(): Promise<{ readonly cli: TunnelCli; readonly path: string } & AsyncDisposable> {
  const target = await TcpTarget.start(echo);
  const datagrams = await UdpTarget.start();
  const sshd = await startSshd();
  const cli = await tunnelCli();
  const path = join(cli.home.dir, 'echo.sock');
  const to = `127.0.0.1:${target.port}`;
  const forwards = [
    `local: 127.0.0.1:auto\n    to: ${to}\n    name: tcp`,
    `local: unix:${path}\n    to: ${to}`,
    `relay: 127.0.0.1:auto\n    to: [${to}]\n    name: relay`,
    `relay: 127.0.0.1:auto\n    protocol: udp\n    to: [127.0.0.1:${datagrams.endpoint.port}]\n    name: udp`,
    `remote: 127.0.0.1:0\n    to: ${to}\n    name: remote`,
  ];
  const head = `${viaSshd(sshd)}reconnect: { initial: 200ms, max: 1s }\nforwards:\n`;
  await cli.home.profile('t', `${head}${forwards.map((forward) => `  - ${forward}\n`).join('')}`);
  await cli.ok('up', 't');
  return {
    ...{ cli, path },
    async [Symbol.asyncDispose]() {
      await cli[Symbol.asyncDispose]();
      await sshd.stop();
      await datagrams[Symbol.asyncDispose]();
      await target.close();
    },
  };
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
