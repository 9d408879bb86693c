import { createServer, type Server, type Socket } from 'node:net';
import { SocketChannel } from '../../src/forward/reach/dial.ts';
import type { ListenWatch, RemoteListener } from '../../src/link/carrier.ts';
import type { OnIncoming } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import type { TunnelError } from '../../src/model/failure.ts';
import { LocalCarrier } from './local-carrier.ts';

/** A carrier without SSH whose "server" is this process: what it listens for is a real listener here. */
export class ListeningCarrier extends LocalCarrier {
  /** Ports that are open on the "server" now, in the order of their opening. */
  readonly ports: number[] = [];
  /** How many were asked for so far. */
  listens = 0;
  /** Requests to listen are not answered before `grantListening`. */
  holdListening = false;
  readonly #held: (() => void)[] = [];
  #refusal: TunnelError | undefined;

  /** Answers every request to listen with this error; undefined grants them again. */
  refuseListening(error: TunnelError | undefined): void {
    this.#refusal = error;
  }

  grantListening(): void {
    this.holdListening = false;
    for (const grant of this.#held.splice(0)) grant();
  }

  override listen(bind?: Endpoint, onChannel?: OnIncoming, watch?: ListenWatch): RemoteListener {
    if (bind?.kind !== 'tcp' || onChannel === undefined || watch === undefined)
      throw new Error('Nothing to listen for');
    this.listens += 1;
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => hand(socket, onChannel));
    const refusal = this.#refusal;
    if (refusal !== undefined) queueMicrotask(() => watch.lost(refusal));
    const grant = (): void =>
      void server.listen(bind.port, bind.host, () => {
        const port = portOf(server);
        this.ports.push(port);
        watch.listening({ ...bind, port });
      });
    if (refusal === undefined && this.holdListening) this.#held.push(grant);
    else if (refusal === undefined) grant();
    return {
      close: () => {
        const at = this.ports.indexOf(portOf(server));
        if (at >= 0) this.ports.splice(at, 1);
        server.close();
        return Promise.resolve();
      },
    };
  }
}

function hand(socket: Socket, onChannel: OnIncoming): void {
  socket.on('error', () => undefined); // a refused caller may have gone already
  const { remoteAddress: address = '', remotePort: port = 0 } = socket;
  onChannel({
    originator: { address, port },
    accept: () => new SocketChannel(socket),
    refuse: () => void socket.destroy(),
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
