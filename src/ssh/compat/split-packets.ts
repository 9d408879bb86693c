import type { SplitPackets } from '../data/pooled-reads.ts';
import { LONGEST_PACKET } from '../data/read-pool.ts';
import type { Protocol } from './protocol.ts';

/**
 * Has a connection put such packets together in memory of ours. ssh2 1.17.0 allocates 32 KiB for each: one in eight packets at the
 * best, and so much memory outside of V8's heap makes its collector go over the whole heap again and again.
 * @param take gives memory of LONGEST_PACKET bytes
 */
export function gatherSplitPackets(protocol: Protocol, take: () => Buffer): SplitPackets {
  let attended: unknown;
  let completed: Buffer | undefined;
  const attend = (): void => {
    completed = undefined;
    const decipher: unknown = Reflect.get(protocol, '_decipher');
    if (decipher === attended || !gathers(decipher)) return;
    attended = decipher;
    gatherIn(decipher, take, (memory) => (completed = memory));
  };
  return { attend, completed: () => completed };
}

/** Whether such packets can be gathered here: also where there is no addon, and nothing to gather. */
export function splitPacketsAreKnown(protocol: Protocol): boolean {
  const decipher: unknown = Reflect.get(protocol, '_decipher');
  if (typeof decipher !== 'object' || decipher === null) return false;
  if (!('_instance' in decipher)) return true;
  return '_packet' in decipher && typeof Reflect.get(decipher, '_len') === 'number';
}

/** What of a decipher of ssh2's addon is used here. */
interface Gathering {
  /** The packet so far; null between packets. */
  _packet: Buffer | null;
  /** Of the packet, once its first bytes were read. */
  readonly _len: number;
}

/** ssh2 asks for the packet so far only where it is about to allocate one that is not whole, or works on one. */
function gatherIn(decipher: Gathering, take: () => Buffer, done: (memory: Buffer) => void): void {
  let packet: Buffer | null = null;
  let memory: Buffer | undefined;
  Object.defineProperty(decipher, '_packet', {
    configurable: true,
    enumerable: true,
    get: () => {
      if (packet !== null || decipher._len > LONGEST_PACKET) return packet;
      memory = take();
      return (packet = memory.subarray(0, decipher._len));
    },
    set: (value: Buffer | null) => {
      if (value === null && memory !== undefined) done(memory);
      if (value === null) memory = undefined;
      packet = value;
    },
  });
}

/** Between packets, and one of those of the addon: the others allocate what they decrypt in any case. */
function gathers(decipher: unknown): decipher is Gathering {
  if (typeof decipher !== 'object' || decipher === null) return false;
  const native: unknown = Reflect.get(decipher, '_instance');
  return (
    typeof native === 'object' &&
    native !== null &&
    Reflect.get(decipher, '_packet') === null &&
    typeof Reflect.get(decipher, '_len') === 'number'
  );
}
