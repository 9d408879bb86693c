import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { WireReader, wireString } from '../model/wire.ts';

/** An OpenSSH certificate (PROTOCOL.certkeys), read but not yet believed. */
export interface Certificate {
  readonly keyType: string;
  /** The plain public key that it is about. */
  readonly key: Buffer;
  readonly kind: 'user' | 'host' | 'unknown';
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Seconds since 1970; the second one is the first moment in which it is not valid any more. */
  readonly validAfter: bigint;
  readonly validBefore: bigint;
  /** Names of options that whoever does not know them must refuse. */
  readonly criticalOptions: readonly string[];
  /** The public key of the authority that signed it. */
  readonly authority: Buffer;
  readonly signature: Buffer;
  /** What is signed. */
  readonly body: Buffer;
}

const SUFFIX = '-cert-v01@openssh.com';

/** How many strings make the public key of each type. */
const KEY_FIELDS: Readonly<Record<string, number>> = {
  'ssh-ed25519': 1,
  'ssh-rsa': 2,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
  'sk-ssh-ed25519@openssh.com': 2,
  'sk-ecdsa-sha2-nistp256@openssh.com': 3,
};

/** The plain public key inside an OpenSSH certificate, as it is known outside of one. @throws RangeError where it is none */
export function certifiedKey(certificate: Buffer): Buffer {
  return readHead(new WireReader(certificate)).key;
}

/** @throws RangeError where the bytes are no certificate, or of a type that we do not know */
export function parseCertificate(blob: Buffer): Certificate {
  const reader = new WireReader(blob);
  const { keyType, key } = readHead(reader);
  reader.uint64(); // serial: for revocation lists, which known_hosts has not
  const kind = KINDS[reader.uint32()] ?? 'unknown';
  const keyId = reader.text();
  const principals = texts(reader.string());
  const validAfter = reader.uint64();
  const validBefore = reader.uint64();
  const criticalOptions = texts(reader.string()).filter((_text, index) => index % 2 === 0); // name, data, name, data
  reader.string(); // extensions: of no meaning for hosts
  reader.string(); // reserved
  const authority = reader.string();
  const body = blob.subarray(0, reader.position);
  const signature = reader.string();
  if (reader.left > 0) throw new RangeError('Something follows the certificate');
  return {
    ...{ keyType, key, kind, keyId, principals, validAfter, validBefore, criticalOptions },
    ...{ authority, signature, body },
  };
}

const KINDS: Readonly<Record<number, 'user' | 'host'>> = { 1: 'user', 2: 'host' };

/** Signatures that an authority may make: OpenSSH's CASignatureAlgorithms, without those of security keys. */
const SIGNATURES: Readonly<Record<string, { readonly hash: string | null; readonly keyType: string }>> = {
  'ssh-ed25519': { hash: null, keyType: 'ssh-ed25519' },
  'ecdsa-sha2-nistp256': { hash: 'sha256', keyType: 'ecdsa-sha2-nistp256' },
  'ecdsa-sha2-nistp384': { hash: 'sha384', keyType: 'ecdsa-sha2-nistp384' },
  'ecdsa-sha2-nistp521': { hash: 'sha512', keyType: 'ecdsa-sha2-nistp521' },
  'rsa-sha2-256': { hash: 'sha256', keyType: 'ssh-rsa' },
  'rsa-sha2-512': { hash: 'sha512', keyType: 'ssh-rsa' },
};

/** Every algorithm by which an authority may sign. */
export const SIGNATURE_NAMES: readonly string[] = Object.keys(SIGNATURES);

/** By which algorithm its authority signed it; '' where that cannot be read. */
export function signatureName({ signature }: Certificate): string {
  try {
    return new WireReader(signature).text();
  } catch {
    return ''; // what cannot be read is signed by nothing
  }
}

/** Whether the authority that the certificate names has signed it, by an algorithm that is still trusted. */
export function signedByItsAuthority({ authority, signature, body }: Certificate): boolean {
  try {
    const reader = new WireReader(signature);
    const algorithm = SIGNATURES[reader.text()];
    const bytes = reader.string();
    const keyType = new WireReader(authority).text();
    if (algorithm?.keyType !== keyType || reader.left > 0) return false;
    const key = publicKey(authority);
    if (algorithm.hash === null || keyType === 'ssh-rsa') return verify(algorithm.hash, body, key, bytes);
    return verify(algorithm.hash, body, { key, dsaEncoding: 'ieee-p1363' }, fixedWidth(bytes, keyType));
  } catch {
    return false; // what cannot be read proves nothing
  }
}

function readHead(reader: WireReader): { keyType: string; key: Buffer } {
  const type = reader.text();
  const bare = type.endsWith(SUFFIX) ? type.slice(0, -SUFFIX.length) : '';
  const keyType = bare.startsWith('sk-') ? `${bare}@openssh.com` : bare;
  const fields = KEY_FIELDS[keyType];
  if (fields === undefined) throw new RangeError('No certificate of a known type');
  reader.string(); // nonce
  const parts = Array.from({ length: fields }, () => wireString(reader.string()));
  return { keyType, key: Buffer.concat([wireString(keyType), ...parts]) };
}

/** A list of strings inside a string. */
function texts(list: Buffer): string[] {
  const reader = new WireReader(list);
  const found: string[] = [];
  while (reader.left > 0) found.push(reader.text());
  return found;
}

/** The key of an authority for node:crypto. @throws where it is damaged */
function publicKey(blob: Buffer): KeyObject {
  const reader = new WireReader(blob);
  const type = reader.text();
  if (type === 'ssh-ed25519') return fromJwk({ kty: 'OKP', crv: 'Ed25519', x: url(reader.string()) });
  if (type === 'ssh-rsa') {
    const e = url(bare(reader.string()));
    return fromJwk({ kty: 'RSA', e, n: url(bare(reader.string())) });
  }
  const curve = reader.text();
  const point = reader.string();
  const width = WIDTHS[curve];
  // Only the uncompressed form is allowed in SSH (RFC 5656 section 3.1).
  if (width === undefined || point[0] !== 4 || point.length !== 1 + 2 * width)
    throw new RangeError('No point of a curve');
  const [x, y] = [url(point.subarray(1, 1 + width)), url(point.subarray(1 + width))];
  return fromJwk({ kty: 'EC', crv: `P-${curve.slice('nistp'.length)}`, x, y });
}

const WIDTHS: Readonly<Record<string, number>> = { nistp256: 32, nistp384: 48, nistp521: 66 };

/** r and s of RFC 5656 section 3.1.2 side by side, as node:crypto takes them. */
function fixedWidth(pair: Buffer, keyType: string): Buffer {
  const width = WIDTHS[keyType.replace('ecdsa-sha2-', '')] ?? 0;
  const reader = new WireReader(pair);
  const halves = [bare(reader.string()), bare(reader.string())];
  if (reader.left > 0 || halves.some((half) => half.length > width)) throw new RangeError('No signature of this curve');
  return Buffer.concat(halves.map((half) => Buffer.concat([Buffer.alloc(width - half.length), half])));
}

/** An mpint without the zeros that keep it positive. */
function bare(mpint: Buffer): Buffer {
  let start = 0;
  while (start < mpint.length && mpint[start] === 0) start++;
  return mpint.subarray(start);
}

function url(bytes: Buffer): string {
  return bytes.toString('base64url');
}

function fromJwk(key: Record<string, string>): KeyObject {
  return createPublicKey({ key, format: 'jwk' });
}
