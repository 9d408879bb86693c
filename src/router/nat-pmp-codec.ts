/** RFC 6886 section 3: version 0; a response has the request's opcode and this. */
const VERSION = 0;
const RESPONSE = 128;
const OPCODES = { address: 0, udp: 1, tcp: 2 } as const;
/** No message of version 0 is longer. */
export const NAT_PMP_LONGEST = 16;

export interface NatPmpMapRequest {
  readonly protocol: 'tcp' | 'udp';
  readonly internalPort: number;
  /** 0 with a lifetime of 0. */
  readonly externalPort: number;
  /** 0 removes. */
  readonly lifetimeSeconds: number;
}

export type NatPmpResponse =
  | { readonly opcode: 'address'; readonly result: 0; readonly epochSeconds: number; readonly externalHost: string }
  | {
      readonly opcode: 'map';
      readonly result: 0;
      readonly protocol: 'tcp' | 'udp';
      readonly epochSeconds: number;
      readonly internalPort: number;
      readonly externalPort: number;
      readonly lifetimeSeconds: number;
    }
  /** Section 3.5. `protocol` is null for the answer to a request for the address. */
  | { readonly opcode: 'refused'; readonly result: number; readonly protocol: 'tcp' | 'udp' | null };

/** Section 3.2. */
export function encodeNatPmpAddress(): Buffer {
  return Buffer.from([VERSION, OPCODES.address]);
}

/** Section 3.3. @throws RangeError for what the wire cannot say */
export function encodeNatPmpMap({ protocol, ...request }: NatPmpMapRequest): Buffer {
  const message = Buffer.alloc(12);
  message.writeUInt8(VERSION, 0);
  message.writeUInt8(OPCODES[protocol], 1);
  message.writeUInt16BE(request.internalPort, 4);
  message.writeUInt16BE(request.externalPort, 6);
  message.writeUInt32BE(request.lifetimeSeconds, 8);
  return message;
}

/** @returns undefined for what is no response of this version */
export function decodeNatPmp(bytes: Buffer): NatPmpResponse | undefined {
  const [version, tagged = 0] = bytes;
  if (bytes.length < 4 || bytes.length > NAT_PMP_LONGEST || version !== VERSION || tagged < RESPONSE) return undefined;
  const opcode = tagged - RESPONSE;
  if (opcode > OPCODES.tcp) return undefined;
  const protocol = opcode === OPCODES.tcp ? 'tcp' : opcode === OPCODES.udp ? 'udp' : null;
  const result = bytes.readUInt16BE(2);
  if (result !== 0) return { opcode: 'refused', result, protocol };
  if (bytes.length < (protocol === null ? 12 : 16)) return undefined;
  const epochSeconds = bytes.readUInt32BE(4);
  if (protocol === null) {
    return { opcode: 'address', result, epochSeconds, externalHost: [...bytes.subarray(8, 12)].join('.') };
  }
  return {
    opcode: 'map',
    result,
    protocol,
    epochSeconds,
    internalPort: bytes.readUInt16BE(8),
    externalPort: bytes.readUInt16BE(10),
    lifetimeSeconds: bytes.readUInt32BE(12),
  };
}
