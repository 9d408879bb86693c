import { createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { rawKey } from '../keys/raw-key.ts';
import type { MlKem } from './ml-kem.ts';

/** The exchange that OpenSSH prefers since 10.0: broken only by who breaks both halves. */
export const HYBRID_KEX = 'mlkem768x25519-sha256';

const CIPHER_TEXT_BYTES = 1088;
const X25519_BYTES = 32;

/** The client's side of one mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex, section 2). */
export class HybridExchange {
  /** C_INIT: the key of ML-KEM, then that of X25519. The same for as long as this exchange lives. */
  readonly publicKey: Buffer;
  readonly #mlKem: MlKem;
  readonly #sealed: Uint8Array;
  readonly #x25519 = generateKeyPairSync('x25519');

  constructor(mlKem: MlKem) {
    this.#mlKem = mlKem;
    const pair = mlKem.keyPair();
    this.#sealed = pair.secretKey;
    this.publicKey = Buffer.concat([pair.publicKey, rawKey(this.#x25519.publicKey)]);
  }

  /**
   * K, which goes into hashes as a string and not as a number: SHA-256 of what both halves agreed on.
   * @param reply S_REPLY: the sealed secret, then the server's key of X25519
   * @throws where it is malformed, or its point of X25519 gives nothing away but zeros (RFC 7748 section 6.1)
   */
  secret(reply: Buffer): Buffer {
    if (reply.length !== CIPHER_TEXT_BYTES + X25519_BYTES) throw new RangeError('The answer has the wrong length');
    const quantumSafe = this.#mlKem.open(reply.subarray(0, CIPHER_TEXT_BYTES), this.#sealed);
    const theirs = createPublicKey({
      key: { kty: 'OKP', crv: 'X25519', x: reply.subarray(CIPHER_TEXT_BYTES).toString('base64url') },
      format: 'jwk',
    });
    const classical = diffieHellman({ privateKey: this.#x25519.privateKey, publicKey: theirs });
    return createHash('sha256').update(quantumSafe).update(classical).digest();
  }
}
