import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { formatEndpoint, type TcpEndpoint } from '../../model/endpoint.ts';
import { bindFailure, type Holder, type Refusal } from '../listen/bind-failure.ts';
import { addressesOf, type BindAddress } from '../listen/listener.ts';
import type { ForwardSockets } from '../listen/listening-sockets.ts';
import { portHolder } from '../listen/port-holder.ts';

export interface UdpListenerOptions {
  /** `localhost`, `*` and port 0 mean what they mean to a TCP listener. */
  readonly bind: TcpEndpoint;
  readonly preferredPort?: number;
  /** Whether to look for the holder of a busy port, which takes up to 0.8 s. */
  readonly nameHolder: boolean;
  /** `socket` is where an answer must go out: a client takes it from no other address. */
  readonly onDatagram: (datagram: Buffer, from: RemoteInfo, socket: Socket) => void;
  readonly onError: (error: Error) => void;
  readonly onNote: (message: string) => void;
  /** Where sockets come from and go to that outlive this process; absent where none do. */
  readonly sockets?: ForwardSockets;
}

/** One bind address of a profile, open for datagrams. */
export interface UdpListener {
  readonly bound: TcpEndpoint;
  /** Frees the address at once. Safe to call twice. */
  close(): void;
}

/** So many ports that are free on one address and taken on the other are no accident. */
const FREE_PORT_TRIES = 16;

/** Binds. Rejects with BIND_DENIED, BIND_IN_USE (which names the holder) or BIND_UNAVAILABLE; nothing is left bound then. */
export async function listenUdp(options: UdpListenerOptions): Promise<UdpListener> {
  const { bind, preferredPort = 0 } = options;
  const addresses = await addressesOf(bind.host).catch((error: NodeJS.ErrnoException): Refusal => {
    return { code: error.code ?? '', at: bind, cause: error };
  });
  if ('code' in addresses) throw bindFailure(bind, addresses);
  if (bind.port === 0 && preferredPort !== 0) {
    const kept = await bindTogether(addresses, preferredPort, options);
    if (!('code' in kept)) return listener(bind, kept);
    options.onNote(`Port ${preferredPort} cannot be kept, another is bound instead: ${await explained(kept, options)}`);
  }
  for (let tries = 1; ; tries += 1) {
    const sockets = await bindTogether(addresses, bind.port, options);
    if (!('code' in sockets)) return listener(bind, sockets);
    const again = bind.port === 0 && sockets.code === 'EADDRINUSE' && tries < FREE_PORT_TRIES;
    if (!again) throw bindFailure(bind, sockets, await holderOf(sockets, options));
  }
}

function listener(bind: TcpEndpoint, sockets: readonly Socket[]): UdpListener {
  let open = sockets;
  return {
    bound: { ...bind, port: sockets[0]?.address().port ?? bind.port },
    close: () => {
      for (const socket of open) socket.close();
      open = [];
    },
  };
}

/** All addresses with one port, or none. */
async function bindTogether(
  addresses: readonly BindAddress[],
  port: number,
  options: UdpListenerOptions,
): Promise<Socket[] | Refusal> {
  const sockets: Socket[] = [];
  const missing: Refusal[] = [];
  let chosen = port;
  for (const { host, optional } of addresses) {
    const opened = await open({ kind: 'tcp', host, port: chosen }, options);
    if ('socket' in opened) {
      sockets.push(opened.socket);
      chosen = opened.socket.address().port;
    } else if (optional && (opened.code === 'EADDRNOTAVAIL' || opened.code === 'EAFNOSUPPORT')) {
      missing.push(opened);
    } else {
      for (const socket of sockets) socket.close();
      return opened;
    }
  }
  const [first] = missing;
  if (sockets.length === 0 && first !== undefined) return first;
  for (const { at } of missing) {
    if (at.kind === 'tcp') options.onNote(`${at.host} is left out: this machine does not have that address`);
  }
  return sockets;
}

function open(at: TcpEndpoint, options: UdpListenerOptions): Promise<{ readonly socket: Socket } | Refusal> {
  const six = isIP(at.host) === 6;
  const socket = createSocket({ type: six ? 'udp6' : 'udp4', ipv6Only: six });
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      socket.close();
      resolve({ code: error.code ?? '', at, cause: error });
    };
    socket.once('error', failed);
    const inherited = options.sockets?.take('udp', at);
    const where = inherited === undefined ? { address: at.host, port: at.port } : { fd: inherited };
    socket.bind({ ...where, exclusive: true }, () => {
      socket.off('error', failed);
      const bound = { ...at, port: socket.address().port };
      options.sockets?.opened('udp', bound, socket);
      socket.on('error', options.onError);
      socket.on('message', (datagram, from) => options.onDatagram(datagram, from, socket));
      resolve({ socket });
    });
  });
}

async function explained(refusal: Refusal, options: UdpListenerOptions): Promise<string> {
  return bindFailure(options.bind, refusal, await holderOf(refusal, options)).message;
}

async function holderOf({ code, at }: Refusal, options: UdpListenerOptions): Promise<Holder | undefined> {
  if (code !== 'EADDRINUSE' || !options.nameHolder) return undefined;
  return options.sockets?.holder('udp', at) ?? portHolder(at, 'udp');
}

/** For messages and records. */
export function peerText({ address, port }: Pick<RemoteInfo, 'address' | 'port'>): string {
  return formatEndpoint({ kind: 'tcp', host: address, port });
}
