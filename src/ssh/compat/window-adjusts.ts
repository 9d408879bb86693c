import type { WindowAdjusts } from '../data/bulk-send.ts';
import type { Protocol } from './protocol.ts';

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
