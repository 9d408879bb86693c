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

/** Reads the library and tries nothing: it can no longer be missing afterwards. @returns an Error that says why it does not load */
export function readMlKem(): Promise<(MlKem & Sealer) | Error> {
  reading ??= import('@noble/post-quantum/ml-kem.js').then(
    ({ ml_kem768: { keygen, encapsulate, decapsulate } }) => ({ keyPair: keygen, encapsulate, open: decapsulate }),
    (error: unknown) => asError(error),
  );
  return reading;
}

/**
 * The library for ML-KEM, tried out once at the first connection that wants it, which takes some 25 ms: a pair of keys,
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
