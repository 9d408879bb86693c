import { createRequire } from 'node:module';
import { BASE_WINDOW_BYTES, type WindowGrowth } from '../data/window-growth.ts';

const internals: unknown = createRequire(import.meta.url)('ssh2/lib/Channel.js');

/** Whether this ssh2 gives windows as we know it to, and its channels keep theirs where we look; else they are left to it. */
export const windowsAreKnown: boolean =
  member(internals, 'MAX_WINDOW') === BASE_WINDOW_BYTES &&
  member(internals, 'WINDOW_THRESHOLD') === BASE_WINDOW_BYTES / 2 &&
  sampleIsWindowed(member(internals, 'Channel'));

/** What of an ssh2 channel is used here. */
interface WindowedChannel {
  readonly incoming: { window: number };
  readonly outgoing: { readonly id: number; readonly state: string };
  readonly _client: { readonly _protocol: { channelWindowAdjust(channel: number, bytes: number): void } };
}

/**
 * Tells the server of the room that a channel's reader made. ssh2 1.17.0 knows windows of 2 MiB only and widens them when
 * half is used; it stays silent as long as they are wider, and so what is withheld of such a window counts as open there.
 * @returns to be called when the reader took something; undefined where this ssh2 has another inside
 */
export function windowKeeper(
  channel: { readonly readableLength: number },
  growth: WindowGrowth,
): (() => void) | undefined {
  if (!isWindowed(channel)) return undefined;
  const { incoming, outgoing, _client } = channel;
  let withheldBytes = 0;
  return () => {
    // A channel that is closing needs none, and sshd ends the connection over one for a channel that it has forgotten.
    if (outgoing.state !== 'open' && outgoing.state !== 'eof') return;
    const openBytes = incoming.window - withheldBytes;
    const bytes = growth.due(openBytes, channel.readableLength);
    withheldBytes = growth.withheld(openBytes + bytes);
    incoming.window = openBytes + bytes + withheldBytes;
    if (bytes > 0) _client._protocol.channelWindowAdjust(outgoing.id, bytes);
  };
}

/** How many bytes the server would take now; 0 where this ssh2 has another inside. */
export function sendWindowOf(channel: object): () => number {
  const outgoing = member(channel, 'outgoing');
  return () => {
    const window = member(outgoing, 'window');
    return typeof window === 'number' ? window : 0;
  };
}

function isWindowed<C extends object>(channel: C): channel is C & WindowedChannel {
  const incoming = member(channel, 'incoming');
  const outgoing = member(channel, 'outgoing');
  const protocol = member(member(channel, '_client'), '_protocol');
  return (
    typeof member(incoming, 'window') === 'number' &&
    typeof member(outgoing, 'id') === 'number' &&
    typeof member(outgoing, 'state') === 'string' &&
    typeof member(protocol, 'channelWindowAdjust') === 'function'
  );
}

/** A channel of nobody, made as ssh2 makes them. */
function sampleIsWindowed(made: unknown): boolean {
  if (typeof made !== 'function') return false;
  const client = { _protocol: { channelWindowAdjust: () => undefined } };
  const side = { id: 0, window: 0, packetSize: 0, state: 'open' };
  const channel: unknown = Reflect.construct(made, [client, { type: 'direct-tcpip', incoming: side, outgoing: side }]);
  return typeof channel === 'object' && channel !== null && isWindowed(channel);
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
