import { createHmac } from 'node:crypto';

/** What makes one-time codes (RFC 6238). */
export interface Totp {
  readonly seed: Buffer;
  readonly hash: 'sha1' | 'sha256' | 'sha512';
  readonly digits: number;
  readonly periodMs: number;
}

/**
 * Reads a seed as sites show it: base32, in groups or not, or the `otpauth://totp/…` line behind a QR code.
 * @returns undefined where it is neither; what was read is never part of a message
 */
export function parseTotp(text: string): Totp | undefined {
  const written = text.trim();
  if (!/^otpauth:/i.test(written)) return totpOf(written, null, null, null);
  if (!URL.canParse(written)) return undefined;
  const { host, searchParams } = new URL(written);
  if (host.toLowerCase() !== 'totp') return undefined; // a counter (HOTP) would have to be kept for ever
  const field = (name: string): string | null => searchParams.get(name);
  return totpOf(field('secret') ?? '', field('algorithm'), field('digits'), field('period'));
}

/** The window that a time falls in; each has one code. */
export function totpStep({ periodMs }: Totp, wallMs: number): number {
  return Math.floor(wallMs / periodMs);
}

/** The code of one window (RFC 4226 section 5.3). */
export function totpCode({ seed, hash, digits }: Totp, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac(hash, seed).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

function totpOf(
  secret: string,
  algorithm: string | null,
  digits: string | null,
  period: string | null,
): Totp | undefined {
  const seed = base32(secret);
  const hash = HASHES[(algorithm ?? 'SHA1').toUpperCase().replace('-', '')];
  const [length, seconds] = [Number(digits ?? 6), Number(period ?? 30)];
  const fits = Number.isInteger(length) && length >= 6 && length <= 8 && Number.isInteger(seconds) && seconds >= 1;
  if (seed === undefined || hash === undefined || !fits || seconds > 3600) return undefined;
  return { seed, hash, digits: length, periodMs: seconds * 1000 };
}

const HASHES: Readonly<Record<string, Totp['hash']>> = { SHA1: 'sha1', SHA256: 'sha256', SHA512: 'sha512' };

/** RFC 4648 section 6, without regard to case, spaces, hyphens and padding. 80 bits at least, as no site gives fewer. */
function base32(text: string): Buffer | undefined {
  const signs = text.toUpperCase().replace(/[\s-]|=+$/g, '');
  if (!/^[A-Z2-7]{16,}$/.test(signs)) return undefined;
  const bytes: number[] = [];
  let [bits, value] = [0, 0];
  for (const sign of signs) {
    value = ((value << 5) | 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(sign)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  return Buffer.from(bytes);
}
