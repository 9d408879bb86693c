import type { Duplex } from 'node:stream';
import { queuesAreKnown } from './compat/channel-memory.ts';
import { windowsAreKnown } from './compat/channel-window.ts';
import { nativesAreKept } from './compat/native-ciphers.ts';
import { buildInSlab } from './compat/packet-slab.ts';
import { lightChannels, type OpenLight } from './compat/light-channels.ts';
import type { Protocol } from './compat/protocol.ts';
import { guardReads } from './compat/read-guard.ts';
import { gatherSplitPackets, splitPacketsAreKnown } from './compat/split-packets.ts';
import { windowAdjustsOf } from './compat/window-adjusts.ts';
import { guardWindows } from './compat/window-guard.ts';
import type { WindowAdjusts } from './data/bulk-send.ts';
import { pooledReadsOf, type PooledReads } from './data/pooled-reads.ts';
import { ReadPool } from './data/read-pool.ts';
import { SlabPool } from './data/slab-pool.ts';
import { WriteBatch } from './data/write-batch.ts';
import { WindowBudget } from './data/window-growth.ts';

/** What makes the data path quick. All on; tests and the bench switch them off to see what each is for. */
export interface Levers {
  /** Packets built in place, and one write a turn. */
  readonly slab: boolean;
  /** Receive windows that grow with the path. */
  readonly windows: boolean;
  /** Large reads of the network, into memory that is used again. */
  readonly reads: boolean;
  /** Forwarded connections without Node's streams. */
  readonly channels: boolean;
  /** Little of an upload under way while another channel speaks in between. */
  readonly sharing: boolean;
}

const ALL: Levers = { slab: true, windows: true, reads: true, channels: true, sharing: true };

/** What the channels of a connection have of it. */
export interface Prepared {
  /** What a person should know: which part of it this ssh2 does not allow. */
  readonly notes: readonly string[];
  /** Opens forwarded connections; undefined leaves them to ssh2. */
  readonly openLight: OpenLight | undefined;
  /** Undefined where this ssh2 has another inside. */
  readonly adjusts: WindowAdjusts | undefined;
}

/** What the connections of one supervisor share to move bytes. */
export class DataPath {
  readonly levers: Levers;
  readonly windows = new WindowBudget();
  /** Undefined where reads are left to Node. */
  readonly readPool: ReadPool | undefined;
  readonly #slabs = new SlabPool();

  constructor(levers: Partial<Levers> = {}) {
    const wanted = { ...ALL, ...levers };
    this.levers = { ...wanted, windows: wanted.windows && windowsAreKnown };
    this.readPool = wanted.reads ? new ReadPool() : undefined;
  }

  /** Makes a connection quick, and holds both sides to their windows. Call between ssh2's `connect` and its first packet. */
  prepare(client: object, protocol: Protocol, stream: Duplex): Prepared {
    const { slab, channels } = this.levers;
    const notes = windowsAreKnown ? [] : ['another ssh2 than 1.17.0: receive windows do not grow'];
    if (!nativesAreKept) notes.push('another ssh2 than 1.17.0: with its addon, this Node may end the process');
    if (!queuesAreKnown) notes.push('another Node than 20 to 24: clients that do not read cost more memory');
    if (slab && !buildInSlab(protocol, WriteBatch.over(stream, this.#slabs)))
      notes.push('another ssh2 than 1.17.0: uploads cost more');
    const openLight = channels ? lightChannels(client, protocol) : undefined;
    if (channels && openLight === undefined) notes.push('another ssh2 than 1.17.0: connections cost more');
    const adjusts = windowAdjustsOf(protocol);
    if (adjusts === undefined) notes.push('another ssh2 than 1.17.0: uploads hold up other connections');
    if (!guardWindows(client, protocol)) notes.push('another ssh2 than 1.17.0: the server is not held to its windows');
    return { notes, openLight, adjusts };
  }

  /**
   * Lets memory that was read into be used again. Call once the login is over, for a connection whose stream is the network.
   * @returns who lends it to the channels; undefined where reads are left to Node, and where a note was added that says why
   */
  reuseReads(protocol: Protocol, stream: Duplex, notes: string[]): PooledReads | undefined {
    const reads = pooledReadsOf(stream);
    const pool = this.readPool;
    if (reads === undefined || pool === undefined) return undefined;
    const guard = guardReads(protocol);
    if (guard === undefined) {
      notes.push('another ssh2 than 1.17.0: downloads cost more');
      return undefined;
    }
    if (!splitPacketsAreKnown(protocol)) notes.push('another ssh2 than 1.17.0: downloads cost a little more');
    reads.reuse(
      guard,
      gatherSplitPackets(protocol, () => pool.takeSplit()),
    );
    return reads;
  }
}
