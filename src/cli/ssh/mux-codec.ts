import type { Endpoint } from '../../model/endpoint.ts';
import type { ForwardSpec } from '../../model/forward-spec.ts';

/** Messages of OpenSSH's connection multiplexing (PROTOCOL.mux): what asks a master, and what it answers. */
export type MuxMessage =
  | { readonly kind: 'hello'; readonly version: number }
  | { readonly kind: 'check' | 'exit' | 'stop'; readonly id: number }
  | { readonly kind: 'forward' | 'cancel'; readonly id: number; readonly spec: ForwardSpec }
  | { readonly kind: 'ok'; readonly id: number }
  | { readonly kind: 'alive'; readonly id: number; readonly pid: number }
  | { readonly kind: 'remote-port'; readonly id: number; readonly port: number }
  | { readonly kind: 'denied' | 'failure'; readonly id: number; readonly reason: string }
  /** Of a kind that is not served here: sessions, proxies, stdio. */
  | { readonly kind: 'unknown'; readonly id: number };

export const MUX_VERSION = 4;

const NUMBERS = {
  hello: 0x00000001,
  check: 0x10000004,
  exit: 0x10000005,
  forward: 0x10000006,
  cancel: 0x10000007,
  stop: 0x10000009,
  ok: 0x80000001,
  denied: 0x80000002,
  failure: 0x80000003,
  alive: 0x80000005,
  'remote-port': 0x80000007,
} as const;

/** PORT_STREAMLOCAL of misc.h: the host is a path. */
const UNIX_PORT = 0xfffffffe;
const LARGEST = 256 * 1024;

/** One message with its length before it. */
export function encodeMux(message: Exclude<MuxMessage, { kind: 'unknown' }>): Buffer {
  const body = Buffer.concat([uint(NUMBERS[message.kind]), ...fieldsOf(message)]);
  return Buffer.concat([uint(body.length), body]);
}

/** Takes whole messages off the front. @throws RangeError for what is none */
export function decodeMux(bytes: Buffer): { readonly messages: readonly MuxMessage[]; readonly rest: Buffer } {
  const messages: MuxMessage[] = [];
  let rest = bytes;
  while (rest.length >= 4) {
    const length = rest.readUInt32BE(0);
    if (length < 4 || length > LARGEST) throw new RangeError(`a message of ${length} bytes`);
    if (rest.length < 4 + length) break;
    messages.push(messageOf(new Reader(rest.subarray(4, 4 + length))));
    rest = rest.subarray(4 + length);
  }
  return { messages, rest };
}

function fieldsOf(message: Exclude<MuxMessage, { kind: 'unknown' }>): Buffer[] {
  switch (message.kind) {
    case 'hello':
      return [uint(message.version)];
    case 'check':
    case 'exit':
    case 'stop':
    case 'ok':
      return [uint(message.id)];
    case 'alive':
      return [uint(message.id), uint(message.pid)];
    case 'remote-port':
      return [uint(message.id), uint(message.port)];
    case 'denied':
    case 'failure':
      return [uint(message.id), text(message.reason)];
    case 'forward':
    case 'cancel':
      return [uint(message.id), ...forwardFields(message.spec)];
  }
}

function forwardFields(spec: ForwardSpec): Buffer[] {
  const type = spec.kind === 'local' ? 1 : spec.kind === 'socks' ? 3 : 2;
  const target = 'target' in spec ? place(spec.target) : [text(spec.kind === 'socks' ? 'socks' : ''), uint(0)];
  return [uint(type), ...place(spec.bind), ...target];
}

function place(endpoint: Endpoint): Buffer[] {
  if (endpoint.kind === 'unix') return [text(endpoint.path), uint(UNIX_PORT)];
  // An empty name is what ssh sends for a bind address that was not given.
  return [text(endpoint.host === 'localhost' ? '' : endpoint.host), uint(endpoint.port)];
}

function messageOf(reader: Reader): MuxMessage {
  const number = reader.uint();
  if (number === NUMBERS.hello) return { kind: 'hello', version: reader.uint() };
  const id = reader.uint();
  switch (number) {
    case NUMBERS.check:
      return { kind: 'check', id };
    case NUMBERS.exit:
      return { kind: 'exit', id };
    case NUMBERS.stop:
      return { kind: 'stop', id };
    case NUMBERS.ok:
      return { kind: 'ok', id };
    case NUMBERS.alive:
      return { kind: 'alive', id, pid: reader.uint() };
    case NUMBERS['remote-port']:
      return { kind: 'remote-port', id, port: reader.uint() };
    case NUMBERS.denied:
      return { kind: 'denied', id, reason: reader.text() };
    case NUMBERS.failure:
      return { kind: 'failure', id, reason: reader.text() };
    case NUMBERS.forward:
      return { kind: 'forward', id, spec: forwardOf(reader) };
    case NUMBERS.cancel:
      return { kind: 'cancel', id, spec: forwardOf(reader) };
    default:
      return { kind: 'unknown', id };
  }
}

function forwardOf(reader: Reader): ForwardSpec {
  const type = reader.uint();
  const bind = endpointOf(reader);
  const target = endpointOf(reader);
  if (type === 3) return { kind: 'socks', bind };
  if (type === 2 && target.kind === 'tcp' && target.port === 0) return { kind: 'remote-socks', bind };
  if (type !== 1 && type !== 2) throw new RangeError(`a forward of type ${type}`);
  return { kind: type === 1 ? 'local' : 'remote', bind, target };
}

function endpointOf(reader: Reader): Endpoint {
  const host = reader.text();
  const port = reader.uint();
  if (port === UNIX_PORT) return { kind: 'unix', path: host };
  if (port > 65_535) throw new RangeError(`port ${port}`);
  return { kind: 'tcp', host: host === '' ? 'localhost' : host, port };
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  uint(): number {
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4); // throws a RangeError at the end
  }

  text(): string {
    const length = this.uint();
    if (this.#at + length > this.#bytes.length) throw new RangeError('a text that is cut off');
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }
}

function uint(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint(bytes.length), bytes]);
}
