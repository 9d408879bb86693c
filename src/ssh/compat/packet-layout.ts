/** How a cipher of ssh2 lays out a packet: 4 bytes of length, 1 of padding length, payload, padding, tag. */
export interface PacketLayout {
  /** Padding by `payloadBytes % BLOCK_BYTES`. */
  readonly padding: readonly number[];
  /** Room that the cipher needs behind the padding for its tag or MAC. */
  readonly tagBytes: number;
}

/** No cipher of SSH has larger blocks (RFC 4253 section 6.3), so padding repeats after as many bytes. */
export const BLOCK_BYTES = 16;
export const HEADER_BYTES = 5;

/**
 * Learns a cipher's layout from packets that it allocates itself, and proves that the rule holds for other sizes.
 * @returns undefined where the cipher does not encrypt in place, as those of ssh2 1.17.0 without its addon, or is another than we know
 */
export function packetLayout(cipher: unknown): PacketLayout | undefined {
  if (typeof cipher !== 'object' || cipher === null) return undefined;
  const native: unknown = Reflect.get(cipher, '_instance'); // only those of the addon have one
  const allocate: unknown = Reflect.get(cipher, 'allocPacket');
  if (typeof native !== 'object' || native === null || typeof allocate !== 'function') return undefined;
  const sample = (payloadBytes: number): Sample | undefined =>
    measured(allocate.call(cipher, payloadBytes), payloadBytes);
  const samples = Array.from({ length: BLOCK_BYTES }, (_, size) => sample(size));
  const tagBytes = samples[0]?.tagBytes ?? -1;
  const padding = samples.map((one) => one?.padding ?? 0);
  const holds = PROOFS.every((size) => {
    const one = sample(size);
    return one !== undefined && one.tagBytes === tagBytes && one.padding === padding[size % BLOCK_BYTES];
  });
  const whole = samples.every((one) => one !== undefined && one.tagBytes === tagBytes);
  return whole && holds && tagBytes >= 0 ? { padding, tagBytes } : undefined;
}

const PROOFS = [17, 30, 31, 255, 4_096, 32_768, 32_777];

interface Sample {
  readonly padding: number;
  readonly tagBytes: number;
}

function measured(packet: unknown, payloadBytes: number): Sample | undefined {
  if (!Buffer.isBuffer(packet) || packet.length < HEADER_BYTES) return undefined;
  const bodyBytes = packet.readUInt32BE(0);
  const padding = packet[4] ?? 0;
  const tagBytes = packet.length - 4 - bodyBytes;
  return bodyBytes === 1 + payloadBytes + padding && padding >= 4 && tagBytes >= 0 ? { padding, tagBytes } : undefined;
}
