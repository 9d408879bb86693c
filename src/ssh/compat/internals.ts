import { createRequire } from 'node:module';

/**
 * Three files inside ssh2 1.17.0 that its public face leaves out. They have no typings, so what we read of them is
 * checked here, once, when this module is loaded: another ssh2 fails loudly and not in the middle of a login.
 */
const load = createRequire(import.meta.url);
const crypto: unknown = load('ssh2/lib/protocol/crypto.js');
const constants: unknown = load('ssh2/lib/protocol/constants.js');
const utils: unknown = load('ssh2/lib/protocol/utils.js');

/** Whether ssh2's native addon was built and loads. */
export const bindingAvailable: boolean = member(crypto, 'bindingAvailable', isBoolean);

/** What a cipher of ssh2 is made from, and what it does. */
interface CipherParts {
  readonly outbound: {
    readonly seqno: number;
    readonly cipherInfo: unknown;
    readonly cipherKey: Buffer;
    readonly cipherIV?: Buffer;
    readonly macInfo?: unknown;
    readonly macKey?: Buffer;
    readonly onWrite: (bytes: Buffer) => void;
  };
}
interface Cipher {
  allocPacket(payloadBytes: number): Buffer;
  encrypt(packet: Buffer): void;
  free(): void;
}
interface DecipherParts {
  readonly inbound: {
    readonly seqno: number;
    readonly decipherInfo: unknown;
    readonly decipherKey: Buffer;
    readonly decipherIV?: Buffer;
    readonly macInfo?: unknown;
    readonly macKey?: Buffer;
    readonly onPayload: (payload: Buffer) => void;
  };
}
interface Decipher {
  decrypt(bytes: Buffer, from: number, to: number): unknown;
  free(): void;
}

export const createCipher = member(crypto, 'createCipher', isFunction<(parts: CipherParts) => Cipher>);
export const createDecipher = member(crypto, 'createDecipher', isFunction<(parts: DecipherParts) => Decipher>);
export const CIPHER_INFO = member(crypto, 'CIPHER_INFO', isTable);
export const MAC_INFO = member(crypto, 'MAC_INFO', isTable);

export const SUPPORTED_KEX = member(constants, 'SUPPORTED_KEX', isNames);
export const SUPPORTED_HOST_KEYS = member(constants, 'SUPPORTED_SERVER_HOST_KEY', isNames);
export const SUPPORTED_CIPHERS = member(constants, 'SUPPORTED_CIPHER', isNames);
export const SUPPORTED_MACS = member(constants, 'SUPPORTED_MAC', isNames);

/** Encrypts and sends a packet, or queues it while keys are exchanged. */
export const sendPacket = member(utils, 'sendPacket', isFunction<(protocol: object, packet: Buffer) => boolean>);

function member<T>(module: unknown, name: string, fits: (value: unknown) => value is T): T {
  const value: unknown = typeof module === 'object' && module !== null ? Reflect.get(module, name) : undefined;
  if (fits(value)) return value;
  throw new TypeError(`The installed ssh2 has no ${name}: it is not version 1.17.0, which tunnel pins`);
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Its arguments cannot be looked at: the contract tests hold them. */
function isFunction<T>(value: unknown): value is T {
  return typeof value === 'function';
}
