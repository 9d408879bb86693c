import { createCipheriv, createDecipheriv, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../model/secret.ts';
import type { Sealed, VaultHeader } from './vault-format.ts';

/** Half a second and 128 MiB for each guess; Node's own limit is 32 MiB. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 } as const;
const KEY_BYTES = 32;
/** NIST SP 800-38D section 8.2.2: random nonces of 96 bits are good for 2^32 messages of one key. */
const NONCE_BYTES = 12;
/** AAD of the data key; those of entries hold their names, so that no value can be moved to another name. */
const DATA_KEY = 'v1\0data key';

/** A new vault's header, and its data key: random, wrapped with what scrypt makes of the passphrase. */
export async function makeHeader(
  passphrase: Secret,
  opens: VaultHeader['opens'],
): Promise<{ readonly header: VaultHeader; readonly dataKey: Buffer }> {
  const salt = randomBytes(16);
  const wrapping = await derive(passphrase, salt);
  const dataKey = randomBytes(KEY_BYTES);
  const header: VaultHeader = {
    version: 1,
    opens,
    salt: salt.toString('base64'),
    check: checkValue(wrapping).toString('base64'),
    dataKey: seal(wrapping, DATA_KEY, dataKey),
  };
  wrapping.fill(0);
  return { header, dataKey };
}

/** @returns the data key, or what is wrong: the passphrase, or the vault */
export async function openHeader(header: VaultHeader, passphrase: Secret): Promise<Buffer | 'wrong' | 'damaged'> {
  const wrapping = await derive(passphrase, Buffer.from(header.salt, 'base64'));
  try {
    const [expected, found] = [Buffer.from(header.check, 'base64'), checkValue(wrapping)];
    if (expected.length !== found.length) return 'damaged';
    if (!timingSafeEqual(expected, found)) return 'wrong';
    return open(wrapping, DATA_KEY, header.dataKey) ?? 'damaged';
  } finally {
    wrapping.fill(0);
  }
}

/** @param name the entry's: the value can be opened under no other */
export function sealEntry(dataKey: Buffer, name: string, secret: Secret): Sealed {
  return seal(dataKey, entryContext(name), Buffer.from(secret.reveal(), 'utf8'));
}

/** @returns undefined where the entry was changed, moved or made with another key */
export function openEntry(dataKey: Buffer, name: string, sealed: Sealed): string | undefined {
  const bytes = open(dataKey, entryContext(name), sealed);
  const text = bytes?.toString('utf8');
  bytes?.fill(0);
  return text;
}

function entryContext(name: string): string {
  return `v1\0entry\0${name}`;
}

function seal(key: Buffer, context: string, bytes: Buffer): Sealed {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  const text = Buffer.concat([cipher.update(bytes), cipher.final()]);
  const base64 = (part: Buffer): string => part.toString('base64');
  return { nonce: base64(nonce), text: base64(text), tag: base64(cipher.getAuthTag()) };
}

function open(key: Buffer, context: string, sealed: Sealed): Buffer | undefined {
  const [nonce, text, tag] = [sealed.nonce, sealed.text, sealed.tag].map((part) => Buffer.from(part, 'base64'));
  // Shorter tags would be taken too, and be easier to forge.
  if (nonce?.length !== NONCE_BYTES || tag?.length !== 16 || text === undefined) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(text), decipher.final()]);
  } catch {
    return undefined; // all that `final` ever says is that the tag does not match
  }
}

/** Says nothing about the wrapping key that a guess of the passphrase would not have to compute anyway. */
function checkValue(wrapping: Buffer): Buffer {
  return createHmac('sha256', wrapping).update('tunnel vault check').digest();
}

/** On a thread of the pool: the event loop goes on. */
function derive(passphrase: Secret, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase.reveal().normalize('NFC'), salt, KEY_BYTES, SCRYPT, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
