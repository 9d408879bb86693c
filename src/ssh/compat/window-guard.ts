import { ProtocolBreach } from '../message-screen.ts';
import type { Handlers, Protocol } from './protocol.ts';

/**
 * Holds the server to what it may send on a channel: no more than the window that it was given (RFC 4254 section 5.2), and nothing after its EOF (5.3);
 * and us to windows of channels that we have not closed. Data without a byte is dropped: no window bounds how much of it there may be, and a write of it waits like any other. ssh2 1.17.0 queues what comes beyond a window, whatever it costs, and drops silently what
 * comes when it is used up; OpenSSH ends the connection too, and drops what comes after EOF.
 * @returns false, with nothing changed, where this ssh2 has another inside
 */
export function guardWindows(client: object, protocol: Protocol): boolean {
  const channels: unknown = Reflect.get(client, '_chanMgr');
  if (!isManager(channels)) return false;
  holdToData(channels, protocol._handlers);
  leaveClosed(channels, protocol);
  return true;
}

function holdToData(channels: Manager, handlers: Handlers): void {
  const { CHANNEL_DATA, CHANNEL_EXTENDED_DATA } = handlers;
  const isDue = (recipient: number, data: Buffer): boolean => {
    const channel = channels.get(recipient);
    if (typeof channel !== 'object' || channel.incoming === undefined) return true; // ssh2 knows what to do
    if (data.length > channel.incoming.window) throw new ProtocolBreach('more data than the window has room for');
    return data.length > 0 && channel.incoming.state === 'open';
  };
  handlers.CHANNEL_DATA = (self, recipient, data) => {
    if (isDue(recipient, data)) CHANNEL_DATA(self, recipient, data);
  };
  handlers.CHANNEL_EXTENDED_DATA = (self, recipient, data, type) => {
    if (isDue(recipient, data)) CHANNEL_EXTENDED_DATA(self, recipient, data, type);
  };
}

/**
 * Widens no window of a channel after our CLOSE. ssh2 goes on until it has read the server's, but the server, which has sent its own by then, may have
 * given the number to a new channel already: that one's window would be wider there than we know, and what fills it would end the connection.
 */
function leaveClosed(channels: Manager, protocol: Protocol): void {
  const { CHANNEL_CLOSE } = protocol._handlers;
  const close = protocol.channelClose.bind(protocol);
  const widen = protocol.channelWindowAdjust.bind(protocol);
  /** By the server's numbers. */
  const closed = new Set<number>();
  protocol.channelClose = (channel) => {
    closed.add(channel);
    close(channel);
  };
  protocol.channelWindowAdjust = (channel, bytes) => {
    if (!closed.has(channel)) widen(channel, bytes);
  };
  protocol._handlers.CHANNEL_CLOSE = (self, recipient) => {
    const channel = channels.get(recipient);
    CHANNEL_CLOSE(self, recipient);
    // From here on ssh2 leaves it alone by itself, and the server may use the number again.
    if (typeof channel === 'object' && channel.outgoing !== undefined) closed.delete(channel.outgoing.id);
  };
}

interface Manager {
  /** A function while the channel is being opened. @throws for what can be no number of a channel */
  get(id: number): KnownChannel | (() => unknown) | undefined;
}

interface KnownChannel {
  readonly incoming?: { readonly window: number; readonly state: string };
  readonly outgoing?: { readonly id: number };
}

function isManager(value: unknown): value is Manager {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'get') === 'function';
}
