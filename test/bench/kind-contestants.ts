/** `tunnel` and what it is compared with, for each kind of forward beside the local one. */
import { connect } from 'node:net';
import { freePort } from '../support/sshd.ts';
import { tempHome, viaSshd } from '../support/temp-home.ts';
import { contestant, spawnQuiet, type Contestant, type Course } from './contestants.ts';
import { datagramPingUs } from './datagrams.ts';

export type Kind = 'relay' | 'udp' | 'remote' | 'remote-socks' | 'socks' | 'trigger';

/** `tunnel` in the foreground with one forward of the kind, to the course's target. */
export async function tunnelOf(kind: Kind, { sshd, sshPort, targetPort, cipher }: Course): Promise<Contestant> {
  const home = await tempHome();
  const port = await freePort();
  const target = `127.0.0.1:${targetPort}`;
  const forward = {
    relay: `{ relay: "127.0.0.1:${port}", to: "${target}" }`,
    udp: `{ relay: "127.0.0.1:${port}", protocol: udp, to: "${target}" }`,
    remote: `{ remote: "127.0.0.1:${port}", to: "${target}" }`,
    'remote-socks': `{ remote-socks: "127.0.0.1:${port}" }`,
    socks: `{ socks: "127.0.0.1:${port}" }`,
    trigger: `{ trigger: "127.0.0.1:${port}", to: "${target}", opens: [{ remote: "127.0.0.1:${await freePort()}", to: "client:9" }] }`,
  }[kind];
  const via =
    kind === 'relay' || kind === 'udp'
      ? ''
      : `${viaSshd(sshd, sshPort)}${cipher === undefined ? '' : `    ciphers: [${cipher}]\n`}`;
  const limits = 'limits: { connections: 10000, perClient: 10000 }\n';
  await home.profile('bench', `${via}${limits}forwards:\n  - ${forward}\n`);
  const words = ['bin/tunnel.js', 'up', 'bench', '--foreground', '--quiet'];
  const child = spawnQuiet(process.execPath, words, home.env);
  return contestant('tunnel', port, child, () => home.remove(), kind === 'udp' ? echoes : listens);
}

/** What `ssh` has for the kind, by the same login and cipher: it knows no triggers, but leads to the same target. */
export async function sshOf(
  kind: 'remote' | 'remote-socks' | 'socks' | 'trigger',
  { sshd, sshPort, targetPort, cipher }: Course,
): Promise<Contestant> {
  const port = await freePort();
  const bind = `127.0.0.1:${port}`;
  const target = `${bind}:127.0.0.1:${targetPort}`;
  const flags = { remote: ['-R', target], 'remote-socks': ['-R', bind], socks: ['-D', bind], trigger: ['-L', target] };
  const flag = flags[kind];
  const words = [
    ...['-N', '-F', 'none', '-i', sshd.identityFile, '-o', 'IdentityAgent=none', '-o', 'ExitOnForwardFailure=yes'],
    ...(cipher === undefined ? [] : ['-o', `Ciphers=${cipher}`]),
    ...['-o', `UserKnownHostsFile=${sshd.knownHostsFile}`, '-o', 'BatchMode=yes'],
    ...[...flag, '-p', String(sshPort), `${sshd.user}@127.0.0.1`],
  ];
  return contestant(`ssh ${flag[0] ?? ''}`, port, spawnQuiet('ssh', words), undefined, listens);
}

/** The target itself, with nothing between. */
export function plain(name: 'plain TCP' | 'plain UDP', { targetPort }: Course): Promise<Contestant> {
  return Promise.resolve({
    name,
    port: targetPort,
    pids: () => Promise.resolve([]),
    stop: () => Promise.resolve(),
  });
}

/** One process a connection: `socat TCP-LISTEN,fork`. */
export async function socat({ targetPort }: Course): Promise<Contestant> {
  const port = await freePort();
  const listen = `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=1024`;
  return contestant(
    'socat',
    port,
    spawnQuiet('socat', [listen, `TCP:127.0.0.1:${targetPort},nodelay`]),
    undefined,
    listens,
  );
}

/** One process a client: `socat UDP-LISTEN,fork`. Nobody tells it that a client is gone, so each ends after a second without a datagram. */
export async function socatUdp({ targetPort }: Course): Promise<Contestant> {
  const port = await freePort();
  const child = spawnQuiet('socat', ['-T1', `UDP-LISTEN:${port},bind=127.0.0.1,fork`, `UDP:127.0.0.1:${targetPort}`]);
  return contestant('socat', port, child, undefined, echoes);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function echoes(port: number): Promise<boolean> {
  return (await datagramPingUs(port, 1)).length > 0;
}
