import { bindingAvailable, CIPHER_INFO, createCipher, createDecipher, MAC_INFO } from './internals.ts';

/** The first Node whose headers may have it: what is built with those of 24.21 does, and with those of 20 does not. */
const FIRST_NODE = 22;

/** Ciphers of ssh2's addon that are made from other classes each. */
const SAMPLES = [
  { cipher: 'chacha20-poly1305@openssh.com', keyBytes: 64, ivBytes: 0 },
  { cipher: 'aes128-gcm@openssh.com', keyBytes: 16, ivBytes: 12 },
  { cipher: 'aes128-ctr', keyBytes: 16, ivBytes: 16 },
];
const MAC = 'hmac-sha2-256';
const MAC_KEY_BYTES = 32;

const kept: object[] = [];
const emptied = new FinalizationRegistry(empty);

/**
 * Whether the process outlives its ciphers. With its later headers, Node ends a process ("Assertion failed: (env) != nullptr") whose
 * collector finds an object of an addon unused while no JavaScript runs (nodejs/node issue 65262 and its kin): with ssh2's addon, some time after a connection has
 * ended or has exchanged keys. So what an addon made is kept for good, empty: some hundred bytes for each exchange.
 */
export const nativesAreKept: boolean =
  !bindingAvailable || Number.parseInt(process.versions.node, 10) < FIRST_NODE || SAMPLES.every(keepLike);

/** @returns false where ssh2 has another inside */
function keepLike({ cipher, keyBytes, ivBytes }: (typeof SAMPLES)[number]): boolean {
  const parts = { info: CIPHER_INFO[cipher], key: Buffer.alloc(keyBytes), iv: Buffer.alloc(ivBytes) };
  const mac = { macInfo: MAC_INFO[MAC], macKey: Buffer.alloc(MAC_KEY_BYTES) };
  const nothing = (): void => undefined;
  const { info, key, iv } = parts;
  const outbound = { seqno: 0, cipherInfo: info, cipherKey: key, cipherIV: iv, onWrite: nothing, ...mac };
  const inbound = { seqno: 0, decipherInfo: info, decipherKey: key, decipherIV: iv, onPayload: nothing, ...mac };
  const make: readonly (() => object)[] = [() => createCipher({ outbound }), () => createDecipher({ inbound })];
  return make.every((one) => {
    const made = orNothing(one);
    if (made === undefined) return true; // what cannot be made leaves nothing behind
    const native: unknown = Reflect.get(made, '_instance');
    if (typeof native !== 'object' || native === null) return false;
    keep(made, native);
    keepAllOf(Object.getPrototypeOf(made) as object);
    return true;
  });
}

function orNothing<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined; // as chacha20 with an OpenSSL that lacks it
  }
}

/** From now on what an object of this kind takes for its `_instance` is kept, and emptied when the object has gone. */
export function keepAllOf(prototype: object): void {
  Object.defineProperty(prototype, '_instance', {
    configurable: true,
    set(this: object, native: object) {
      Object.defineProperty(this, '_instance', { value: native, configurable: true, enumerable: true, writable: true });
      keep(this, native);
    },
  });
}

function keep(owner: object, native: object): void {
  kept.push(native);
  emptied.register(owner, native);
}

/** Gives OpenSSL's memory back. */
function empty(native: object): void {
  const free: unknown = Reflect.get(native, 'free');
  if (typeof free === 'function') Reflect.apply(free, native, []);
}
