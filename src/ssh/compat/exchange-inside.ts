import type { Protocol } from './protocol.ts';

/** One key exchange as ssh2 1.17.0 runs it; each method may be replaced on the object. */
export interface Exchange {
  readonly negotiated: {
    kex: string;
    readonly cs: { readonly cipher: string; readonly mac: string };
    readonly sc: { readonly cipher: string; readonly mac: string };
  };
  /** The server's KEXINIT as it goes into the exchange hash. */
  _remoteKexinit: Buffer;
  getPublicKey(): Buffer;
  convertPublicKey(key: Buffer): Buffer;
  computeSecret(reply: Buffer): Buffer | Error;
  finish(withoutKeys?: boolean): unknown;
}

/** The names that are matched with the server's; what is sent was written down before. */
export interface OfferLists {
  readonly kex: { array: string[] };
  readonly serverHostKey: { array: string[] };
}

type Lists = Readonly<Record<string, readonly string[] | Readonly<Record<string, readonly string[]>>>>;

/** The three places in a connection where its key exchanges can be reached. */
export interface ExchangeInside {
  /** Replaces what is offered; names that ssh2 does not know are taken too. */
  setOffer(lists: Lists): OfferLists;
  /** Shows each incoming message, decompressed, before ssh2 reads it; the answer is what ssh2 reads instead. */
  onPayload(see: (payload: Buffer) => Buffer): void;
  /** Shows each exchange before its first message is sent. */
  onExchange(see: (exchange: Exchange) => void): void;
}

/** @returns undefined where one of the places is not as in ssh2 1.17.0; nothing was changed then */
export function exchangeInside(protocol: Protocol): ExchangeInside | undefined {
  const offer: unknown = Reflect.get(protocol, '_offer');
  const packets: unknown = Reflect.get(protocol, '_packetRW');
  const kex = Object.getOwnPropertyDescriptor(protocol, '_kex');
  const fits = isOffer(offer) && isPackets(packets) && kex?.configurable === true && kex.value === undefined;
  if (!fits) return undefined;
  return {
    setOffer: (lists) => {
      const made: unknown = Reflect.construct(offer.constructor, [lists]);
      if (!isOffer(made)) throw new TypeError('ssh2 makes its offers in another way than version 1.17.0 does');
      Reflect.set(protocol, '_offer', made);
      return made.lists;
    },
    onPayload: (see) => {
      const seen = (reader: Reader): Reader => {
        const read = reader.read.bind(reader);
        reader.read = (data) => see(read(data));
        return reader;
      };
      let reader = seen(packets.read);
      // Each exchange and the end of the login put another reader in its place.
      Object.defineProperty(packets, 'read', { get: () => reader, set: (next: Reader) => (reader = seen(next)) });
    },
    onExchange: (see) => {
      let exchange: Exchange | undefined;
      Object.defineProperty(protocol, '_kex', {
        get: () => exchange,
        set: (next: Exchange) => see((exchange = next)),
      });
    },
  };
}

interface Reader {
  read(data: Buffer): Buffer;
}

function isPackets(value: unknown): value is { read: Reader } {
  return hasMethod(field(value, 'read'), 'read');
}

function isOffer(value: unknown): value is { readonly lists: OfferLists; readonly constructor: new () => unknown } {
  const lists = field(value, 'lists');
  const arrays = [field(field(lists, 'kex'), 'array'), field(field(lists, 'serverHostKey'), 'array')];
  return (
    arrays.every(Array.isArray) && hasMethod(value, 'copyAllTo') && typeof field(value, 'constructor') === 'function'
  );
}

function hasMethod(value: unknown, name: string): boolean {
  return typeof field(value, name) === 'function';
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (Reflect.get(value, name) as unknown) : undefined;
}
