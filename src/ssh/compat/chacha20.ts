import { bindingAvailable, CIPHER_INFO, createCipher, createDecipher } from './internals.ts';
import './native-ciphers.ts'; // first: the trial makes ciphers too

const NAME = 'chacha20-poly1305@openssh.com';
const KEY = Buffer.alloc(64, 1);
const SEQUENCE_NUMBER = 3;
const PAYLOAD = Buffer.from('a packet, there and back');
/** With the OpenSSL 3.5 of Node 24.21 the first one passes and the second fails. */
const PACKETS = 2;
/** Before the payload: its length (uint32) and the length of the padding (byte), RFC 4253 section 6. */
const HEADER_BYTES = 5;

/**
 * Whether ssh2's native addon computes chacha20-poly1305: two packets are sealed and opened again, once. With the OpenSSL 3.5
 * of Node 24 it does not, though the addon loads: packets fail as an invalid operation.
 */
export const chacha20Works: boolean = bindingAvailable && thereAndBack();

function thereAndBack(): boolean {
  try {
    const payloads = opened(sealed());
    return payloads.length === PACKETS && payloads.every((payload) => payload.equals(PAYLOAD));
  } catch {
    return false; // that it fails is what was asked
  }
}

function sealed(): Buffer {
  const sent: Buffer[] = [];
  const onWrite = (bytes: Buffer): void => void sent.push(bytes);
  const cipher = createCipher({
    outbound: { seqno: SEQUENCE_NUMBER, cipherInfo: CIPHER_INFO[NAME], cipherKey: KEY, onWrite },
  });
  for (let count = 0; count < PACKETS; count += 1) {
    const packet = cipher.allocPacket(PAYLOAD.length);
    PAYLOAD.copy(packet, HEADER_BYTES);
    cipher.encrypt(packet);
  }
  cipher.free();
  return Buffer.concat(sent);
}

function opened(packets: Buffer): readonly Buffer[] {
  const came: Buffer[] = [];
  const onPayload = (payload: Buffer): void => void came.push(Buffer.from(payload.subarray(0, PAYLOAD.length)));
  const decipher = createDecipher({
    inbound: { seqno: SEQUENCE_NUMBER, decipherInfo: CIPHER_INFO[NAME], decipherKey: KEY, onPayload },
  });
  decipher.decrypt(packets, 0, packets.length);
  decipher.free();
  return came;
}
