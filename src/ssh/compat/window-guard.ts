import type { Client } from 'ssh2';
import { ProtocolBreach } from '../message-screen.ts';
import type { Protocol } from './protocol.ts';

/**
 * Holds the server to the windows that it was given (RFC 4254 section 5.2). ssh2 1.17.0 queues what comes beyond them,
 * whatever it costs, and drops silently what comes when they are used up; OpenSSH ends the connection too.
 * @returns false, with nothing changed, where this ssh2 has another inside
 */
export function guardWindows(client: Client, protocol: Protocol): boolean {
  const channels: unknown = Reflect.get(client, '_chanMgr');
  if (!isManager(channels)) return false;
  const handlers = protocol._handlers;
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
  return true;
}

interface Manager {
  /** A function while the channel is being opened. @throws for what can be no number of a channel */
  get(id: number): { readonly incoming?: { readonly window: number } } | (() => unknown) | undefined;
}

function isManager(value: unknown): value is Manager {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'get') === 'function';
}
