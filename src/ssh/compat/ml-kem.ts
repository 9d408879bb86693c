import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { asError } from '../../model/failure.ts';

/** ML-KEM-768 (FIPS 203), the client's side. */
export interface MlKem {
  /** @returns 1184 bytes for the server, and what opens its answer */
  readonly keyPair: () => { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
  /** @param cipherText 1088 bytes @returns the 32 bytes that both sides share; throws RangeError or Error where it is malformed */
  readonly open: (cipherText: Uint8Array, secretKey: Uint8Array) => Uint8Array;
}

let reading: Promise<(MlKem & Sealer) | Error> | undefined;
let proving: Promise<MlKem | Error> | undefined;

/**
 * What Node has itself, where that works; otherwise reads the library and tries nothing: it can no longer be missing afterwards.
 * @returns an Error that says why it does not load
 */
export function readMlKem(): Promise<(MlKem & Sealer) | Error> {
  reading ??= readWhatWorks();
  return reading;
}

async function readWhatWorks(): Promise<(MlKem & Sealer) | Error> {
  const native = nativeMlKem();
  return native !== undefined && !(proven(native) instanceof Error) ? native : readMlKemLibrary();
}

/** The library, whatever Node has. @returns an Error that says why it does not load */
export function readMlKemLibrary(): Promise<(MlKem & Sealer) | Error> {
  return import('@noble/post-quantum/ml-kem.js').then(
    ({ ml_kem768: { keygen, encapsulate, decapsulate } }) => ({ keyPair: keygen, encapsulate, open: decapsulate }),
    (error: unknown) => asError(error),
  );
}

/**
 * ML-KEM, tried out once at the first connection that wants it, which takes the library some 25 ms: a pair of keys,
 * a sealed secret, the same secret again.
 * @returns an Error that says why where it does not load or does not work: then post-quantum exchanges are left out
 */
export function loadMlKem(): Promise<MlKem | Error> {
  proving ??= readMlKem().then(async (library) => {
    if (library instanceof Error) return library;
    await setImmediate(); // what is being connected meanwhile is on its way first
    return proven(library);
  });
  return proving;
}

/** @param library with `encapsulate`, the other side's half, which only this trial needs */
export function proven(library: MlKem & Sealer): MlKem | Error {
  try {
    const { publicKey, secretKey } = library.keyPair();
    const { cipherText, sharedSecret } = library.encapsulate(publicKey);
    const sizes = [publicKey.length, cipherText.length, sharedSecret.length];
    const opened = library.open(cipherText, secretKey);
    if (sizes.join() !== '1184,1088,32' || Buffer.compare(opened, sharedSecret) !== 0)
      return new Error('its own trial failed');
    return { keyPair: library.keyPair, open: library.open };
  } catch (error) {
    return asError(error);
  }
}

export interface Sealer {
  readonly encapsulate: (publicKey: Uint8Array) => {
    readonly cipherText: Uint8Array;
    readonly sharedSecret: Uint8Array;
  };
}

/** What Node 24.7 and later have of an OpenSSL from 3.5 on; the types that we build with are of Node 20. */
interface NativeParts {
  readonly generate: (type: 'ml-kem-768') => { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly encapsulate: (to: KeyObject) => { readonly sharedKey: Buffer; readonly ciphertext: Buffer };
  readonly decapsulate: (by: KeyObject, cipherText: Uint8Array) => Buffer;
}

/**
 * ML-KEM-768 of Node itself: no library to read, and its trial takes 3 ms where the library's takes 30 and more. Its secret
 * keys are PKCS #8.
 * @returns undefined where this Node has none; one whose OpenSSL lacks it fails when it is used
 */
export function nativeMlKem(): (MlKem & Sealer) | undefined {
  const crypto = process.getBuiltinModule('node:crypto');
  const encapsulate: unknown = Reflect.get(crypto, 'encapsulate');
  const decapsulate: unknown = Reflect.get(crypto, 'decapsulate');
  if (typeof encapsulate !== 'function' || typeof decapsulate !== 'function') return undefined;
  return madeOf({ generate: generateKeyPairSync, encapsulate, decapsulate } as unknown as NativeParts);
}

function madeOf({ generate, encapsulate, decapsulate }: NativeParts): MlKem & Sealer {
  return {
    keyPair: () => {
      const { publicKey, privateKey } = generate('ml-kem-768');
      return {
        publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length),
        secretKey: privateKey.export({ format: 'der', type: 'pkcs8' }),
      };
    },
    open: (cipherText, secretKey) => {
      const key = createPrivateKey({ key: Buffer.from(secretKey), format: 'der', type: 'pkcs8' });
      return decapsulate(key, cipherText);
    },
    encapsulate: (publicKey) => {
      const spki = Buffer.concat([SPKI_PREFIX, publicKey]);
      const { sharedKey, ciphertext } = encapsulate(createPublicKey({ key: spki, format: 'der', type: 'spki' }));
      return { cipherText: ciphertext, sharedSecret: sharedKey };
    },
  };
}

/** What stands before the 1184 bytes of a public key: 2.16.840.1.101.3.4.4.2, id-alg-ml-kem-768, as SubjectPublicKeyInfo (RFC 5280). */
const SPKI_PREFIX = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');
