import { expect, test } from 'vitest';
import { parseTotp, totpCode, totpStep, type Totp } from '../../src/secrets/totp.ts';

const SEED = '1234567890'.repeat(7);
const totp = (hash: Totp['hash'], bytes: number): Totp => ({
  seed: Buffer.from(SEED.slice(0, bytes)),
  hash,
  digits: 8,
  periodMs: 30_000,
});

// RFC 6238 appendix B.
test.each([
  [59, '94287082', '46119246', '90693936'],
  [1111111109, '07081804', '68084774', '25091201'],
  [1111111111, '14050471', '67062674', '99943326'],
  [1234567890, '89005924', '91819424', '93441116'],
  [2000000000, '69279037', '90698825', '38618901'],
  [20000000000, '65353130', '77737706', '47863826'],
])('at second %i the codes are those of the RFC', (second, sha1, sha256, sha512) => {
  const all = [totp('sha1', 20), totp('sha256', 32), totp('sha512', 64)];
  expect(all.map((one) => totpCode(one, totpStep(one, second * 1000)))).toEqual([sha1, sha256, sha512]);
});

test.each([
  ['base32', 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', { hash: 'sha1', digits: 6, periodMs: 30_000 }],
  ['groups in small letters', 'gezd gnbv gy3t qojq gezd-gnbv-gy3t-qojq', { hash: 'sha1', digits: 6, periodMs: 30_000 }],
  [
    'the line of a QR code',
    'otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA512&digits=8&period=60',
    { hash: 'sha512', digits: 8, periodMs: 60_000 },
  ],
])('a seed may be %s', (_what, text, settings) => {
  expect(parseTotp(text)).toEqual({ seed: Buffer.from('12345678901234567890'), ...settings });
});

test.each([
  '',
  'hunter2',
  '123456',
  'otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=1',
  'otpauth://totp/x',
  'otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=40',
  'otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=0',
  'otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=MD5',
  'otpauth:',
])('%j is no seed', (text) => {
  expect(parseTotp(text)).toBeUndefined();
});
