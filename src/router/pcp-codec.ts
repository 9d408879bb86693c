import { isIPv4 } from 'node:net';

/** RFC 6887 section 7: version, and the bit that tells a response. */
const VERSION = 2;
const RESPONSE = 0x80;
const OPCODES = { announce: 0, map: 1 } as const;
const HEADER = 24;
const MAP_BODY = 36;
/** Section 7: no message is longer. */
export const PCP_LONGEST = 1100;
export const NONCE_LENGTH = 12;
/** The protocol numbers of IANA. */
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

export interface PcpMapRequest {
  /** IPv4, as the router sees us: it refuses when a NAT is between (section 8.1). */
  readonly client: string;
  /** Tells our mapping from everybody else's: `NONCE_LENGTH` bytes, the same for renewal and removal (section 11.2). */
  readonly nonce: Buffer;
  readonly protocol: 'tcp' | 'udp';
  readonly internalPort: number;
  /** 0 with a lifetime of 0. */
  readonly externalPort: number;
  /** 0 removes. */
  readonly lifetimeSeconds: number;
}

export type PcpResponse =
  | PcpHeader<'announce'>
  | (PcpHeader<'map'> & {
      readonly nonce: Buffer;
      readonly protocol: 'tcp' | 'udp';
      readonly internalPort: number;
      readonly externalPort: number;
      /** Null where it is no IPv4 address. */
      readonly externalHost: string | null;
    })
  /** Another version, or too little of a message: section 9 has a router say so. */
  | { readonly opcode: 'none'; readonly version: number; readonly result: number };

interface PcpHeader<Opcode> {
  readonly opcode: Opcode;
  /** Section 7.4; 0 is success. */
  readonly result: number;
  readonly lifetimeSeconds: number;
  readonly epochSeconds: number;
}

/** A request for a port of the router, section 11.1. @throws RangeError for what the wire cannot say */
export function encodePcpMap(request: PcpMapRequest): Buffer {
  const { client, nonce, protocol, internalPort, externalPort, lifetimeSeconds } = request;
  if (nonce.length !== NONCE_LENGTH) throw new RangeError(`A nonce has ${NONCE_LENGTH} bytes`);
  const message = Buffer.alloc(HEADER + MAP_BODY);
  header(message, OPCODES.map, lifetimeSeconds, client);
  nonce.copy(message, HEADER);
  message.writeUInt8(PROTOCOLS[protocol], HEADER + 12);
  message.writeUInt16BE(internalPort, HEADER + 16);
  message.writeUInt16BE(externalPort, HEADER + 18);
  mappedIpv4('0.0.0.0').copy(message, HEADER + 20);
  return message;
}

/** Asks whether the router has restarted, section 14.1. */
export function encodePcpAnnounce(client: string): Buffer {
  const message = Buffer.alloc(HEADER);
  header(message, OPCODES.announce, 0, client);
  return message;
}

/** @returns undefined for what is no response at all */
export function decodePcp(bytes: Buffer): PcpResponse | undefined {
  const [version = 0, tagged = 0, , result = 0] = bytes;
  if (bytes.length < 4 || bytes.length > PCP_LONGEST || (tagged & RESPONSE) === 0) return undefined;
  if (version !== VERSION) return { opcode: 'none', version, result };
  if (bytes.length % 4 !== 0 || bytes.length < HEADER) return undefined;
  const head = { result, lifetimeSeconds: bytes.readUInt32BE(4), epochSeconds: bytes.readUInt32BE(8) };
  const opcode = tagged & ~RESPONSE;
  if (opcode === OPCODES.announce) return { opcode: 'announce', ...head };
  return opcode === OPCODES.map ? decodeMap(bytes.subarray(HEADER), head) : undefined;
}

function decodeMap(body: Buffer, head: Omit<PcpHeader<'map'>, 'opcode'>): PcpResponse | undefined {
  if (body.length < MAP_BODY) return undefined;
  const protocol = body[12] === PROTOCOLS.tcp ? 'tcp' : body[12] === PROTOCOLS.udp ? 'udp' : undefined;
  if (protocol === undefined) return undefined;
  return {
    opcode: 'map',
    ...head,
    nonce: Buffer.from(body.subarray(0, NONCE_LENGTH)),
    protocol,
    internalPort: body.readUInt16BE(16),
    externalPort: body.readUInt16BE(18),
    externalHost: ipv4Of(body.subarray(20, 36)),
  };
}

function header(message: Buffer, opcode: number, lifetimeSeconds: number, client: string): void {
  message.writeUInt8(VERSION, 0);
  message.writeUInt8(opcode, 1);
  message.writeUInt32BE(lifetimeSeconds, 4);
  mappedIpv4(client).copy(message, 8);
}

/** Section 5: an IPv4 address travels as ::ffff:a.b.c.d. */
function mappedIpv4(address: string): Buffer {
  if (!isIPv4(address)) throw new RangeError(`${address} is no IPv4 address`);
  return Buffer.concat([V4_MAPPED, Buffer.from(address.split('.').map(Number))]);
}

const V4_MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

function ipv4Of(bytes: Buffer): string | null {
  return bytes.subarray(0, 12).equals(V4_MAPPED) ? [...bytes.subarray(12)].join('.') : null;
}
