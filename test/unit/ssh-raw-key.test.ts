import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { rawKey } from '../../src/ssh/keys/raw-key.ts';

test.each(['ed25519', 'x25519'] as const)('the bytes of a key of %s are those that its JWK names', (type) => {
  const generated = generateKeyPairSync(type as 'ed25519').privateKey;
  const privateKey = createPrivateKey(generated.export({ type: 'pkcs8', format: 'pem' })); // whose JWK is safe to make
  const publicKey = createPublicKey(privateKey);
  const { d, x } = privateKey.export({ format: 'jwk' });

  expect([rawKey(privateKey), rawKey(publicKey)].map((bytes) => bytes.toString('base64url'))).toEqual([d, x]);
});
