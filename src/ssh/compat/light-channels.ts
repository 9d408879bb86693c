import type { Originator } from '../../link/transport.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import { FULL_PACKET_BYTES } from '../data/read-pace.ts';
import { BASE_WINDOW_BYTES } from '../data/window-growth.ts';
import { windowsAreKnown } from './channel-window.ts';
import { LightChannel } from './light-channel.ts';
import type { Protocol } from './protocol.ts';

/** Opens `direct-tcpip` (RFC 4254 section 7.2) or OpenSSH's counterpart for Unix sockets. @throws when not connected */
export type OpenLight = (
  target: Endpoint,
  originator: Originator,
  done: (error: Error | undefined, channel: LightChannel) => void,
) => void;

/**
 * Lets an ssh2 client open forwarded connections as light channels. All others stay ssh2's own: sessions, those that a server opens,
 * and those that carry another SSH connection.
 * @returns undefined, with nothing changed, where this ssh2 has another inside
 */
export function lightChannels(client: object, protocol: Protocol): OpenLight | undefined {
  const manager: unknown = Reflect.get(client, '_chanMgr');
  if (!windowsAreKnown || !isManager(manager) || !isOpening(protocol)) return undefined;
  const face = { _protocol: protocol };
  const opening = new Map<number, Parameters<OpenLight>[2]>();
  const { CHANNEL_OPEN_CONFIRMATION } = protocol._handlers;
  protocol._handlers.CHANNEL_OPEN_CONFIRMATION = (self, info) => {
    const { recipient, sender, window, packetSize } = info;
    const done = opening.get(recipient);
    if (done === undefined) return CHANNEL_OPEN_CONFIRMATION(self, info);
    opening.delete(recipient);
    const incoming = {
      id: recipient,
      window: BASE_WINDOW_BYTES,
      packetSize: FULL_PACKET_BYTES,
      state: 'open' as const,
    };
    const channel = new LightChannel(incoming, { id: sender, window, packetSize, state: 'open' }, face);
    manager.update(recipient, channel);
    done(undefined, channel);
  };
  return (target, originator, done) => {
    if (!isConnected(client)) throw new Error('Not connected');
    // What ssh2 calls for a refusal, and when the connection is lost.
    const id = manager.add((error: Error, channel: LightChannel) => {
      opening.delete(id);
      done(error, channel);
    });
    if (id === -1) throw new Error('No free channels available');
    opening.set(id, done);
    if (target.kind === 'unix') {
      protocol.openssh_directStreamLocal(id, BASE_WINDOW_BYTES, FULL_PACKET_BYTES, { socketPath: target.path });
      return;
    }
    const { address: srcIP, port: srcPort } = originator;
    const way = { srcIP, srcPort, dstIP: target.host, dstPort: target.port };
    protocol.directTcpip(id, BASE_WINDOW_BYTES, FULL_PACKET_BYTES, way);
  };
}

/** Channels of an ssh2 client by their numbers: a function while one is being opened. */
interface Manager {
  /** @returns -1 where no number is free */
  add(waiting: unknown): number;
  update(id: number, channel: object): void;
}

interface OpeningProtocol {
  directTcpip(channel: number, window: number, packet: number, way: object): void;
  openssh_directStreamLocal(channel: number, window: number, packet: number, way: object): void;
}

function isManager(value: unknown): value is Manager {
  return typeof value === 'object' && value !== null && hasMethods(value, ['add', 'get', 'update', 'remove']);
}

function isOpening<P extends Protocol>(protocol: P): protocol is P & OpeningProtocol {
  return hasMethods(protocol, ['directTcpip', 'openssh_directStreamLocal']);
}

function hasMethods(value: object, names: readonly string[]): boolean {
  return names.every((name) => typeof Reflect.get(value, name) === 'function');
}

/** As ssh2 judges its own socket, but for the moments in which its end was read and not told yet: what is opened then fails with the connection. */
function isConnected(client: object): boolean {
  const socket: unknown = Reflect.get(client, '_sock');
  if (typeof socket !== 'object' || socket === null) return false;
  return Reflect.get(socket, 'writable') === true && Reflect.get(socket, 'readableEnded') !== true;
}
