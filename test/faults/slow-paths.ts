import type { Socket } from 'node:net';
import { talking } from '../support/clients.ts';
import { faultyPath, type FaultyPath } from '../support/faulty-path.ts';
import { startSshd, type TestSshd } from '../support/sshd.ts';
import { TcpTarget } from '../support/tcp-target.ts';
import { viaSshd } from '../support/temp-home.ts';
import { tunnelCli, type TunnelCli } from '../support/tunnel-cli.ts';

/** Half as long again as the default keepalive, 15 s x 3, waits before it gives a path up. */
export const SLOW_PATHS_MS = 90_000;

interface SlowPath {
  readonly name: string;
  readonly profile: string;
  /** So many clients send all the time. */
  readonly pushing: number;
  /** When it becomes slow. */
  readonly from: 'login' | 'traffic';
  slow(path: FaultyPath): void;
}

const SLOW_PATHS: readonly SlowPath[] = [
  {
    name: '64 kB/s, two channels push',
    profile: 'narrow',
    pushing: 2,
    from: 'traffic',
    slow: (path) => path.throttle(64_000),
  },
  {
    name: 'a round trip of 2 s, nothing sent',
    profile: 'far',
    pushing: 0,
    from: 'login',
    slow: (path) => path.delay(1_000),
  },
];

/** What became of the link over one slow path. */
export interface SlowFinding {
  readonly name: string;
  /** At the service, from all clients. */
  readonly arrivedBytes: number;
  /** Of the last keepalive that was answered. */
  readonly latencyMs: number | null;
  /** In sentences; empty where the link lived on. */
  readonly broken: readonly string[];
}

interface Stage {
  readonly sshd: TestSshd;
  readonly cli: TunnelCli;
  readonly forMs: number;
}

/**
 * Healthy but slow paths to a real sshd, all at the same time in one supervisor, with profiles that leave the keepalive at its
 * default. The link over each is looked at for so long: it must not be given up, and no client be cut.
 */
export async function runSlowPaths(forMs = SLOW_PATHS_MS): Promise<readonly SlowFinding[]> {
  await using sshd = await startSshd();
  await using cli = await tunnelCli();
  return await Promise.all(SLOW_PATHS.map((slow) => runSlowPath(slow, { sshd, cli, forMs })));
}

async function runSlowPath(slow: SlowPath, { sshd, cli, forMs }: Stage): Promise<SlowFinding> {
  const { name, profile, pushing } = slow;
  let arrivedBytes = 0;
  await using target = await TcpTarget.start((socket) => receive(socket, (bytes) => (arrivedBytes += bytes)));
  await using path = await faultyPath(sshd.port);
  if (slow.from === 'login') slow.slow(path);
  const port = await up(cli, profile, `${viaSshd(sshd, path.port)}forwards: [auto -> 127.0.0.1:${target.port}]\n`);
  const clients = await Promise.all(Array.from({ length: Math.max(1, pushing) }, () => talking(port)));
  if (slow.from === 'traffic') slow.slow(path);
  for (const client of clients.slice(0, pushing)) push(client);
  await new Promise((resolve) => setTimeout(resolve, forMs));
  const broken = await wrongs(cli, profile, path, clients);
  for (const client of clients) client.destroy();
  return { name, arrivedBytes, latencyMs: (await cli.status(profile)).latencyMs, broken };
}

async function up(cli: TunnelCli, profile: string, text: string): Promise<number> {
  await cli.home.profile(profile, text);
  await cli.ok('up', profile);
  return cli.port(profile);
}

async function wrongs(
  cli: TunnelCli,
  profile: string,
  path: FaultyPath,
  clients: readonly Socket[],
): Promise<readonly string[]> {
  const { state, reconnects, lastError } = await cli.status(profile);
  const cut = clients.filter(({ destroyed }) => destroyed).length;
  const logins = path.joinedAtMs.length;
  return [
    ...(state === 'up' ? [] : [`the tunnel is ${state}: ${lastError?.message ?? 'it does not say why'}`]),
    ...(reconnects === 0 && logins === 1 ? [] : [`the link was given up: ${logins} connections to the server`]),
    ...(cut === 0 ? [] : [`${cut} clients were cut`]),
  ];
}

/** The service: says the first bytes back and only counts the others, so that nothing but the server's own words comes back. */
function receive(socket: Socket, count: (bytes: number) => void): void {
  socket.once('data', (first) => socket.write(first));
  socket.on('data', (chunk) => count(chunk.length));
  socket.on('end', () => socket.end());
}

/** Sends as much as is taken, until the socket ends. */
function push(socket: Socket): void {
  const chunk = Buffer.alloc(64 * 1024);
  const fill = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill);
  socket.resume();
  fill();
}
