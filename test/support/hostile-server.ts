import { createServer, type AddressInfo } from 'node:net';
import type { HopPlan } from '../../src/model/plan.ts';
import { HostilePeer, HostKey } from './hostile-peer.ts';
import { aHop } from './ssh-dial.ts';

/** An SSH server in this process that follows a script instead of the RFCs. Ends with its scope: `await using`. */
export interface HostileServer extends AsyncDisposable {
  readonly port: number;
  readonly hostKey: HostKey;
  /** A hop to it whose host key is pinned. */
  readonly hop: HopPlan;
  /** Connections so far. */
  readonly peers: readonly HostilePeer[];
}

/** @param script what it does with each connection; where the client leaves in the middle of it, it ends */
export async function hostileServer(script: (peer: HostilePeer) => Promise<void>): Promise<HostileServer> {
  const hostKey = new HostKey();
  const peers: HostilePeer[] = [];
  const listener = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const peer = new HostilePeer(socket, hostKey);
    peers.push(peer);
    script(peer).catch(() => socket.end()); // the client left: what it has to say is what the test looks at
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  return {
    ...{ port, hostKey, peers },
    hop: aHop({ port, hostKey: { kind: 'fingerprint', fingerprints: [hostKey.fingerprint] } }),
    async [Symbol.asyncDispose]() {
      for (const { socket } of peers) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
