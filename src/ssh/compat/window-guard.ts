import { ProtocolBreach } from '../message-screen.ts';
import type { Handlers, Protocol } from './protocol.ts';

/**
 * Holds the server to the windows that it was given (RFC 4254 section 5.2), and us to those of channels that we have not closed. ssh2 1.17.0
 * queues what comes beyond a window, whatever it costs, and drops silently what comes when it is used up; OpenSSH ends the connection too.
 * @returns false, with nothing changed, where this ssh2 has another inside
 */
export function guardWindows(client: object, protocol: Protocol): boolean {
  const channels: unknown = Reflect.get(client, '_chanMgr');
  if (!isManager(channels)) return false;
  holdToData(channels, protocol._handlers);
  leaveClosed(protocol);
  return true;
}

function holdToData(channels: Manager, handlers: Handlers): void {
  const { CHANNEL_DATA, CHANNEL_EXTENDED_DATA } = handlers;
  const check = (recipient: number, data: Buffer): void => {
    const channel = channels.get(recipient);
    if (typeof channel !== 'object' || channel?.incoming === undefined) return;
    if (data.length > channel.incoming.window) throw new ProtocolBreach('more data than the window has room for');
  };
  handlers.CHANNEL_DATA = (self, recipient, data) => {
    check(recipient, data);
    CHANNEL_DATA(self, recipient, data);
  };
  handlers.CHANNEL_EXTENDED_DATA = (self, recipient, data, type) => {
    check(recipient, data);
    CHANNEL_EXTENDED_DATA(self, recipient, data, type);
  };
}

/**
 * Widens no window of a channel after our CLOSE. ssh2 goes on until it has read the server's, but the server, which has sent its own by then, may have
 * given the number to a new channel already: that one's window would be wider there than we know, and what fills it would end the connection.
 */
function leaveClosed(protocol: Protocol): void {
  const { _handlers: handlers } = protocol;
  const { CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION } = handlers;
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
  handlers.CHANNEL_OPEN = (self, info) => {
    closed.delete(info.sender);
    CHANNEL_OPEN(self, info);
  };
  handlers.CHANNEL_OPEN_CONFIRMATION = (self, info) => {
    closed.delete(info.sender);
    CHANNEL_OPEN_CONFIRMATION(self, info);
  };
}

interface Manager {
  /** A function while the channel is being opened. @throws for what can be no number of a channel */
  get(id: number): { readonly incoming?: { readonly window: number } } | (() => unknown) | undefined;
}

function isManager(value: unknown): value is Manager {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'get') === 'function';
}
