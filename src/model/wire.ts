/** The data types of SSH (RFC 4251 section 5), written. */
export function wireUint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function wireString(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([wireUint32(bytes.length), bytes]);
}

/** A positive integer from its big-endian bytes: no needless zeros, but one where the highest bit is set. */
export function wireMpint(value: Buffer): Buffer {
  let start = 0;
  while (start < value.length && value[start] === 0) start++;
  const bare = value.subarray(start);
  const signed = (bare[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), bare]) : bare;
  return wireString(signed);
}

/** Reads the data types of SSH one after the other. Every read throws RangeError past the end. */
export class WireReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    const value = this.#bytes[this.#position++];
    if (value === undefined) throw new RangeError('The message ends too early');
    return value;
  }

  uint32(): number {
    const value = this.#bytes.readUInt32BE(this.#position);
    this.#position += 4;
    return value;
  }

  string(): Buffer {
    const length = this.uint32();
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new RangeError('The message ends too early');
    const value = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return value;
  }

  text(): string {
    return this.string().toString('utf8');
  }

  uint64(): bigint {
    const value = this.#bytes.readBigUInt64BE(this.#position);
    this.#position += 8;
    return value;
  }

  /** Everything that was not read yet. */
  rest(): Buffer {
    const value = this.#bytes.subarray(this.#position);
    this.#position = this.#bytes.length;
    return value;
  }

  /** Where the next read begins. */
  get position(): number {
    return this.#position;
  }

  get left(): number {
    return this.#bytes.length - this.#position;
  }
}
