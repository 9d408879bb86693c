import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { plainAlgorithm } from './signature-algorithm.ts';
import { wireMpint, wireString } from '../../model/wire.ts';

/** A private key in memory that can log in. The bytes stay inside node:crypto until it is handed to the next supervisor. */
export interface PrivateKey {
  readonly keyType: string;
  /** The public half as it goes over the wire. */
  readonly blob: Buffer;
  /** @param algorithm as `signatureAlgorithm` names it @returns the signature with its name (RFC 4253 section 6.6) */
  sign(data: Buffer, algorithm: string): Buffer;
  /** The key itself: PKCS #8, DER in base64. */
  export(): string;
}

/** @returns undefined for a kind of key that SSH does not know, or does not use any more (DSA) */
export function asPrivateKey(key: KeyObject): PrivateKey | undefined {
  const publicHalf = publicBlob(key);
  if (publicHalf === undefined) return undefined;
  return {
    ...publicHalf,
    sign: (data, algorithm) => {
      const name = plainAlgorithm(algorithm);
      return Buffer.concat([wireString(name), wireString(rawSignature(key, data, name))]);
    },
    export: () => key.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  };
}

function publicBlob(key: KeyObject): { keyType: string; blob: Buffer } | undefined {
  const jwk = exportPublic(key);
  if (jwk === undefined) return undefined;
  const part = (name: 'n' | 'e' | 'x' | 'y'): Buffer => Buffer.from(jwk[name] ?? '', 'base64url');
  if (jwk.kty === 'RSA') {
    return {
      keyType: 'ssh-rsa',
      blob: Buffer.concat([wireString('ssh-rsa'), wireMpint(part('e')), wireMpint(part('n'))]),
    };
  }
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    return { keyType: 'ssh-ed25519', blob: Buffer.concat([wireString('ssh-ed25519'), wireString(part('x'))]) };
  }
  const curve = CURVES[jwk.crv ?? ''];
  if (jwk.kty !== 'EC' || curve === undefined) return undefined;
  const keyType = `ecdsa-sha2-${curve}`;
  const point = Buffer.concat([Buffer.of(4), part('x'), part('y')]); // uncompressed (RFC 5656 section 3.1)
  return { keyType, blob: Buffer.concat([wireString(keyType), wireString(curve), wireString(point)]) };
}

function exportPublic(key: KeyObject): ReturnType<typeof jwkOf> | undefined {
  if (!['rsa', 'ec', 'ed25519'].includes(key.asymmetricKeyType ?? '')) return undefined;
  return jwkOf(key);
}

function jwkOf(key: KeyObject) {
  return createPublicKey(key).export({ format: 'jwk' });
}

const CURVES: Readonly<Record<string, string>> = { 'P-256': 'nistp256', 'P-384': 'nistp384', 'P-521': 'nistp521' };

function rawSignature(key: KeyObject, data: Buffer, algorithm: string): Buffer {
  const hash = HASHES[algorithm];
  if (!algorithm.startsWith('ecdsa-')) return sign(hash ?? null, data, key);
  const pair = sign(hash ?? null, data, { key, dsaEncoding: 'ieee-p1363' });
  const half = pair.length / 2;
  return Buffer.concat([wireMpint(pair.subarray(0, half)), wireMpint(pair.subarray(half))]); // RFC 5656 section 3.1.2
}

const HASHES: Readonly<Record<string, string>> = {
  'ssh-rsa': 'sha1',
  'rsa-sha2-256': 'sha256',
  'rsa-sha2-512': 'sha512',
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'ecdsa-sha2-nistp521': 'sha512',
};
