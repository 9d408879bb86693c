import { SLAB_BYTES } from '../data/slab-pool.ts';
import { pad } from '../data/padding.ts';
import type { WriteBatch } from '../data/write-batch.ts';
import { sendPacket } from './internals.ts';
import { BLOCK_BYTES, HEADER_BYTES, packetLayout, type PacketLayout } from './packet-layout.ts';

/** What of ssh2's protocol object is used here. */
interface SendingProtocol {
  readonly _cipher: unknown;
  /** Not undefined while keys are exchanged. */
  readonly _kexinit: unknown;
  readonly _packetRW: { readonly write: { readonly allocStart: number } };
  channelData(channel: number, data: unknown): void;
  channelWindowAdjust(channel: number, bytes: number): void;
}

const CHANNEL_DATA = 94;
/** Type, channel, length (RFC 4254 section 5.2). */
const PREFIX_BYTES = 9;

/**
 * Makes a connection build its data packets in the batch's slab, and pad all of them out of a pool. ssh2 1.17.0 allocates each
 * packet and asks for its padding anew: a fifth of an upload's time, a tenth of a new connection's. While keys are exchanged,
 * with compression, and with a cipher that is not known to encrypt in place, ssh2's own way is taken.
 * @returns false, with nothing changed, where this ssh2 has another inside
 */
export function buildInSlab(protocol: object, batch: WriteBatch): boolean {
  if (!isSending(protocol)) return false;
  const channelData = protocol.channelData.bind(protocol);
  const channelWindowAdjust = protocol.channelWindowAdjust.bind(protocol);
  const layoutNow = layoutReader(protocol);
  protocol.channelData = (channel, data) => {
    const layout = Buffer.isBuffer(data) && data.length <= SLAB_BYTES / 2 ? layoutNow() : undefined;
    if (layout === undefined || !Buffer.isBuffer(data)) channelData(channel, data);
    else sendPacket(protocol, dataPacket(batch, layout, channel, data));
  };
  // A download sends nothing else: after an exchange of keys its many adjustments would be padded by ssh2 again.
  protocol.channelWindowAdjust = (channel, bytes) => {
    layoutNow();
    channelWindowAdjust(channel, bytes);
  };
  return true;
}

/** The layout of the cipher in use, where packets may be built by it now. */
function layoutReader(protocol: SendingProtocol): () => PacketLayout | undefined {
  let cipher: unknown;
  let layout: PacketLayout | undefined;
  return () => {
    if (protocol._kexinit !== undefined || protocol._packetRW.write.allocStart !== HEADER_BYTES) return undefined;
    if (protocol._cipher !== cipher) {
      cipher = protocol._cipher;
      layout = packetLayout(cipher);
      if (layout !== undefined) padFromPool(cipher, layout);
    }
    return layout;
  };
}

/** The other packets of this cipher: opens, window adjustments, ends. Until the first of either ssh2 pads them itself. */
function padFromPool(cipher: unknown, layout: PacketLayout): void {
  if (typeof cipher !== 'object' || cipher === null) return;
  Reflect.set(cipher, 'allocPacket', (payloadBytes: number): Buffer => {
    const { body, whole } = sizes(layout, payloadBytes);
    return framed(Buffer.allocUnsafe(whole), body, payloadBytes);
  });
}

function sizes(layout: PacketLayout, payloadBytes: number): { readonly body: number; readonly whole: number } {
  const body = 1 + payloadBytes + (layout.padding[payloadBytes % BLOCK_BYTES] ?? 0);
  return { body, whole: 4 + body + layout.tagBytes };
}

/** Writes what goes around a payload (RFC 4253 section 6). */
function framed(packet: Buffer, bodyBytes: number, payloadBytes: number): Buffer {
  const padding = bodyBytes - 1 - payloadBytes;
  packet.writeUInt32BE(bodyBytes, 0);
  packet[4] = padding;
  pad(packet, HEADER_BYTES + payloadBytes, padding);
  return packet;
}

function dataPacket(batch: WriteBatch, layout: PacketLayout, channel: number, data: Buffer): Buffer {
  const payloadBytes = PREFIX_BYTES + data.length;
  const { body, whole } = sizes(layout, payloadBytes);
  const packet = framed(batch.room(whole), body, payloadBytes);
  packet[5] = CHANNEL_DATA;
  packet.writeUInt32BE(channel, 6);
  packet.writeUInt32BE(data.length, 10);
  packet.set(data, HEADER_BYTES + PREFIX_BYTES);
  return packet;
}

function isSending(protocol: object): protocol is SendingProtocol {
  const packets: unknown = Reflect.get(protocol, '_packetRW');
  const writer: unknown = typeof packets === 'object' && packets !== null ? Reflect.get(packets, 'write') : undefined;
  return (
    typeof Reflect.get(protocol, 'channelData') === 'function' &&
    typeof Reflect.get(protocol, 'channelWindowAdjust') === 'function' &&
    '_kexinit' in protocol &&
    '_cipher' in protocol &&
    typeof writer === 'object' &&
    writer !== null &&
    typeof Reflect.get(writer, 'allocStart') === 'number'
  );
}
