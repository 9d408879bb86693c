/** The npm package tunnel-ssh as its own documentation uses it, in a process of its own. Its argument is a JSON object. */
import { readFile } from 'node:fs/promises';
import { createTunnel } from 'tunnel-ssh';

export interface TunnelSshPeer {
  readonly port: number;
  readonly sshPort: number;
  readonly user: string;
  readonly identityFile: string;
  readonly targetPort: number;
}

const peer = JSON.parse(process.argv[2] ?? '{}') as TunnelSshPeer;
await createTunnel(
  { autoClose: false, reconnectOnError: false },
  { host: '127.0.0.1', port: peer.port },
  { host: '127.0.0.1', port: peer.sshPort, username: peer.user, privateKey: await readFile(peer.identityFile) },
  { srcAddr: '127.0.0.1', srcPort: peer.port, dstAddr: '127.0.0.1', dstPort: peer.targetPort },
);
