import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { wireString, wireUint32 } from '../../model/wire.ts';
import { rawKey } from './raw-key.ts';

/** An Ed25519 key pair in OpenSSH's own formats. */
export interface KeyPair {
  /** The private key file's text, not encrypted. */
  readonly private: string;
  /** The line of a `.pub` file, without its end. */
  readonly public: string;
}

const TYPE = 'ssh-ed25519';

/**
 * Makes a key pair. Not by ssh2's own generator: version 1.17.0 drops leading zero bytes, so that one pair in some 500
 * cannot be read back.
 */
export function makeKeyPair(comment: string): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const [seed, point] = [rawKey(privateKey), rawKey(publicKey)];
  const blob = Buffer.concat([wireString(TYPE), wireString(point)]);
  return {
    private: privateText(Buffer.concat([blob, wireString(Buffer.concat([seed, point])), wireString(comment)]), blob),
    public: `${TYPE} ${blob.toString('base64')} ${comment}`,
  };
}

/** PROTOCOL.key of OpenSSH, with cipher and key derivation `none`. */
function privateText(secret: Buffer, blob: Buffer): string {
  const check = randomBytes(4); // twice the same: that is how a wrong passphrase would show
  const body = Buffer.concat([check, check, secret]);
  const padding = Buffer.from(Array.from({ length: (8 - (body.length % 8)) % 8 }, (_, index) => index + 1));
  const bytes = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    wireString('none'),
    wireString('none'),
    wireString(''),
    wireUint32(1),
    wireString(blob),
    wireString(Buffer.concat([body, padding])),
  ]);
  const lines = bytes.toString('base64').replace(/.{70}/g, '$&\n').trimEnd();
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}
