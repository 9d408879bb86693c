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

export const SUPPORTED_KEX = member(constants, 'SUPPORTED_KEX', isNames);
export const SUPPORTED_HOST_KEYS = member(constants, 'SUPPORTED_SERVER_HOST_KEY', isNames);
export const SUPPORTED_CIPHERS = member(constants, 'SUPPORTED_CIPHER', isNames);
export const SUPPORTED_MACS = member(constants, 'SUPPORTED_MAC', isNames);

/** Encrypts and sends a packet, or queues it while keys are exchanged. */
export const sendPacket = member(utils, 'sendPacket', isSender);

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

function isSender(value: unknown): value is (protocol: object, packet: Buffer) => boolean {
  return typeof value === 'function';
}
