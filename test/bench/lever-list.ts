/** What is done to move bytes faster, and what there would be without it (docs/decisions/0006). */
import { chacha20Works } from '../../src/ssh/compat/chacha20.ts';
import type { LoadName } from './lever-loads.ts';
import type { StandIns } from './without/hook.ts';

export interface Lever {
  readonly name: string;
  readonly standIns: StandIns;
  /** Instead of the cipher that all others have. */
  readonly cipher?: string;
  /** What it is for. */
  readonly loads: readonly LoadName[];
}

/** @param standIn its name in test/bench/without @param module beneath src */
function lever(name: string, standIn: string, module: string, loads: readonly LoadName[]): Lever {
  const address = (path: string): string => new URL(path, import.meta.url).href;
  return { name, standIns: { [address(`../../src/${module}`)]: address(`./without/${standIn}.ts`) }, loads };
}

const AES_GCM: Lever = {
  ...{ name: 'AES-GCM before chacha20', standIns: {}, cipher: 'chacha20-poly1305@openssh.com', loads: ['down', 'up'] },
};

export const LEVERS: readonly Lever[] = [
  lever('TCP_NODELAY', 'nodelay', 'ssh/dial-socket.ts', ['open', 'rate']),
  ...(chacha20Works ? [AES_GCM] : []), // elsewhere it is not offered at all
  lever('packets in a slab', 'slab', 'ssh/compat/packet-slab.ts', ['up', 'up16', 'first', 'rate']),
  lever('padding from a pool', 'padding', 'ssh/data/padding.ts', ['up', 'up16', 'first', 'rate']),
  lever('one write a turn', 'batch', 'ssh/data/write-batch.ts', ['up', 'up16', 'first', 'rate']),
  lever('bound of the queue', 'queue-bound', 'ssh/data/uplink.ts', ['pushing', 'up16', 'beside up']),
  lever('wide reads of clients', 'wide-reads', 'forward/splice/wide-reads.ts', ['up', 'up16']),
  lever('turns of sources', 'turns', 'forward/splice/read-turns.ts', ['up', 'up16', 'beside up']),
  lever('room for who speaks in between', 'sharing', 'ssh/data-path.ts', ['up', 'beside up']),
  lever('pooled reads of the network', 'reads', 'ssh/data-path.ts', ['down', 'down16', 'beside down']),
  lever('split packets in one memory', 'split-packets', 'ssh/compat/split-packets.ts', ['down', 'down16']),
  lever('rests of a fast download', 'rests', 'ssh/data/read-pace.ts', ['down']),
  lever('one full read a turn', 'turns-of-reads', 'ssh/data/read-pace.ts', ['down', 'down16', 'beside down']),
  lever('lent to the client, in one writev', 'lending', 'forward/splice/splice.ts', ['down', 'down16']),
  lever('windows that grow', 'windows', 'ssh/data-path.ts', ['far']),
  lever('channels without streams', 'channels', 'ssh/data-path.ts', ['first', 'rate']),
  lever('log lines gathered', 'gathered-log', 'observe/log.ts', ['first', 'rate']),
];
