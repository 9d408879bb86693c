import type { ReadGuard } from '../data/pooled-reads.ts';
import { exchangesKeys, type Protocol } from './protocol.ts';

/** Messages of which ssh2 1.17.0 keeps nothing but numbers and strings of its own. */
const HARMLESS = [
  'CHANNEL_WINDOW_ADJUST',
  'CHANNEL_EOF',
  'CHANNEL_CLOSE',
  'CHANNEL_OPEN_CONFIRMATION',
  'CHANNEL_OPEN_FAILURE',
  'REQUEST_FAILURE',
];

/**
 * Counts the messages in a read, and those of which nothing is kept. ssh2 1.17.0 keeps slices of what it read through a key
 * exchange (KEXINIT, the host's key), of host keys that it wants proved, and of data for a channel that it does not hand on at once.
 * Where the counts differ, or keys are exchanged, memory must not be used again. A packet whose MAC has not come yet is in
 * nobody's count: who reads keeps memory until more has come than a MAC is long.
 * @returns undefined, with nothing changed, where this ssh2 has another inside
 */
export function guardReads(protocol: Protocol): ReadGuard | undefined {
  const onPacket: unknown = Reflect.get(protocol, '_onPacket');
  const handlers: object = protocol._handlers;
  const originals = HARMLESS.map((name) => [name, Reflect.get(handlers, name) as unknown] as const);
  const fits = originals.every(([, handler]) => typeof handler === 'function');
  if (typeof onPacket !== 'function' || !fits) return undefined;
  let [packets, harmless, exchanging] = [0, 0, false];
  Reflect.set(protocol, '_onPacket', () => {
    packets += 1;
  });
  for (const [name, handler] of originals) {
    if (typeof handler !== 'function') continue;
    Reflect.set(handlers, name, (...args: unknown[]): void => {
      harmless += 1;
      Reflect.apply(handler, handlers, args);
    });
  }
  return {
    begin: () => {
      [packets, harmless, exchanging] = [0, 0, exchangesKeys(protocol)];
    },
    claim: () => {
      harmless += 1;
    },
    end: () => packets === harmless && !exchanging && !exchangesKeys(protocol),
  };
}
