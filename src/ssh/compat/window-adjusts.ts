import type { Protocol } from './protocol.ts';

/** Tells of the windows that a server widens (RFC 4254 section 5.2). */
export interface WindowAdjusts {
  /**
   * @param told of so many bytes more, once ssh2 has sent what waited for them
   * @returns ends it; undefined where this ssh2 has another inside
   */
  watch(channel: object, told: (bytes: number) => void): (() => void) | undefined;
}

/** Listens to one connection. @returns undefined, with nothing changed, where this ssh2 has another inside */
export function windowAdjustsOf(protocol: Protocol): WindowAdjusts | undefined {
  const handlers: object = protocol._handlers;
  const widen: unknown = Reflect.get(handlers, 'CHANNEL_WINDOW_ADJUST');
  if (typeof widen !== 'function') return undefined;
  const watchers = new Map<number, (bytes: number) => void>();
  Reflect.set(handlers, 'CHANNEL_WINDOW_ADJUST', (self: unknown, recipient: number, bytes: number): void => {
    Reflect.apply(widen, handlers, [self, recipient, bytes]);
    watchers.get(recipient)?.(bytes);
  });
  return {
    watch: (channel, told) => {
      const id = ownNumberOf(channel);
      if (id === undefined) return undefined;
      watchers.set(id, told);
      return () => {
        if (watchers.get(id) === told) watchers.delete(id);
      };
    },
  };
}

/** The number by which the server names a channel to us; ours for it is another. */
function ownNumberOf(channel: object): number | undefined {
  const incoming: unknown = Reflect.get(channel, 'incoming');
  const id: unknown = typeof incoming === 'object' && incoming !== null ? Reflect.get(incoming, 'id') : undefined;
  return typeof id === 'number' ? id : undefined;
}
