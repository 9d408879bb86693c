import type { Client } from 'ssh2';
import { TunnelError } from '../../model/failure.ts';

/**
 * The private members of ssh2 1.17.0 that this folder builds on. The version is pinned exactly; `protocolOf` proves
 * at each connect that they are there, and the ssh tests of test/integration that they still mean the same.
 */
export interface Protocol {
  readonly _handlers: Handlers;
  readonly _authsQueue: string[];
  readonly _packetRW: { readonly write: PacketWriter };
  readonly _kex: { readonly sessionID: Buffer } | undefined;
  readonly _strictMode: boolean | undefined;
  /** Not undefined while keys are exchanged. */
  readonly _kexinit: unknown;
  /** Undefined once the connection is dead: every later write must be dropped. */
  readonly _destruct: unknown;
  authPK: AuthPK;
  /** Reads what has come: from `start` to before `end`. */
  parse(chunk: Buffer, start: number, end: number): void;
  ping(): void;
  rekey(): void;
  channelData(channel: number, data: Buffer): void;
  channelEOF(channel: number): void;
  channelClose(channel: number): void;
  channelWindowAdjust(channel: number, bytes: number): void;
}

/** Called in `ssh2` with a packet's content; each may be replaced. */
export interface Handlers {
  DISCONNECT: (protocol: unknown, reason: number, text: string) => void;
  USERAUTH_FAILURE: (protocol: unknown, methods: string[], partial: boolean) => void;
  EXT_INFO: (protocol: unknown, extensions: readonly Extension[]) => void;
  CHANNEL_OPEN_CONFIRMATION: (protocol: unknown, info: OpenedChannel) => void;
  CHANNEL_DATA: (protocol: unknown, recipient: number, data: Buffer) => void;
  CHANNEL_EXTENDED_DATA: (protocol: unknown, recipient: number, data: Buffer, type: number) => void;
  CHANNEL_CLOSE: (protocol: unknown, recipient: number) => void;
}

/** How the server grants a channel (RFC 4254 section 5.1). */
export interface OpenedChannel {
  /** Our number of it. */
  readonly recipient: number;
  /** The server's. */
  readonly sender: number;
  readonly window: number;
  readonly packetSize: number;
}

interface Extension {
  readonly name: string;
  readonly algs?: readonly string[];
}

export interface PacketWriter {
  readonly allocStart: number;
  alloc(payloadBytes: number): Buffer;
  finalize(packet: Buffer): Buffer;
}

export type SignRequest = (data: Buffer, send: (signature: Buffer) => void) => void;
export type AuthPK = (username: string, key: object, algorithm?: string, sign?: SignRequest) => void;

/** The protocol object of a client after `connect()`. @throws INTERNAL naming what this ssh2 lacks */
export function protocolOf(client: Client): Protocol {
  const protocol: unknown = Reflect.get(client, '_protocol');
  if (isProtocol(protocol)) return protocol;
  throw new TunnelError('INTERNAL', 'Cannot use the installed ssh2: it is not version 1.17.0, which tunnel pins');
}

/** Whether both sides agreed on strict key exchange (PROTOCOL of OpenSSH, 1.10). */
export function isStrict(protocol: Protocol): boolean {
  return protocol._strictMode === true;
}

/** Whether keys are being exchanged: all but that waits in a queue of ssh2's own, and none of its streams knows of it. */
export function exchangesKeys(protocol: Protocol): boolean {
  return protocol._kexinit !== undefined;
}

/** Callbacks of global requests that wait for their answer, in order: REQUEST_SUCCESS and _FAILURE carry no name. */
export function requestQueueOf(client: Client): ((error: Error | boolean) => void)[] {
  const queue: unknown = Reflect.get(client, '_callbacks');
  if (isQueue(queue)) return queue;
  throw new TunnelError('INTERNAL', 'Cannot use the installed ssh2: it is not version 1.17.0, which tunnel pins');
}

function isProtocol(value: unknown): value is Protocol {
  if (!isObject(value)) return false;
  const methods = METHODS.every((name) => typeof Reflect.get(value, name) === 'function');
  const handlers: unknown = Reflect.get(value, '_handlers');
  const writer: unknown = Reflect.get(value, '_packetRW');
  return (
    methods &&
    Array.isArray(Reflect.get(value, '_authsQueue')) &&
    '_destruct' in value &&
    '_strictMode' in value &&
    '_kexinit' in value &&
    '_kex' in value &&
    isObject(handlers) &&
    HANDLERS.every((name) => typeof Reflect.get(handlers, name) === 'function') &&
    isObject(writer) &&
    isObject(Reflect.get(writer, 'write'))
  );
}

const HANDLERS = [
  'DISCONNECT',
  'USERAUTH_FAILURE',
  'EXT_INFO',
  'CHANNEL_OPEN_CONFIRMATION',
  'CHANNEL_DATA',
  'CHANNEL_EXTENDED_DATA',
  'CHANNEL_CLOSE',
];
const METHODS = [
  'authPK',
  'parse',
  'ping',
  'rekey',
  'channelData',
  'channelEOF',
  'channelClose',
  'channelWindowAdjust',
];

function isQueue(value: unknown): value is ((error: Error | boolean) => void)[] {
  return Array.isArray(value);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
