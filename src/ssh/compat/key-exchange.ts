import { WireReader, wireString } from '../../model/wire.ts';
import { HYBRID_KEX, HybridExchange } from './hybrid-exchange.ts';
import type { MlKem } from './ml-kem.ts';
import { ProtocolBreach } from '../message-screen.ts';
import { exchangeInside, type Exchange, type OfferLists } from './exchange-inside.ts';
import { isStrict, type Protocol } from './protocol.ts';

/** What to offer, best first, by the names on the wire: also names that ssh2 does not know. */
export interface Offer {
  readonly kex: readonly string[];
  readonly serverHostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly hmac: readonly string[];
  readonly compress: readonly string[];
}

/** What both sides settled on, in this or a later exchange. */
export interface Settled {
  readonly kex: string;
  readonly hostKey: string;
  readonly ciphers: readonly [string, string];
  /** '' where the cipher brings its own. */
  readonly macs: readonly [string, string];
  readonly strict: boolean;
}

export interface ExtensionParts {
  readonly offer: Offer;
  readonly mlKem: MlKem | undefined;
  /** The plain key that a certificate is about, as bytes on the wire. @throws RangeError for what is no certificate */
  readonly certifiedKey: (certificate: Buffer) => Buffer;
  /** Sees each message of the server first. @returns the message as it is to be read; what it throws ends the connection */
  readonly screen: (payload: Buffer) => Buffer;
  /** Before anything is sent under what was settled, and before the host shows its key. */
  readonly onSettled: (settled: Settled) => void;
}

const KEXINIT = 20;
const KEX_REPLY = 31;
const GEX_GROUP = 31;
const GEX_REPLY = 33;
/** RFC 8270 section 4, and the most that OpenSSH takes: what ssh2 asks for, and does not look at in the answer. */
const GROUP_BITS = { least: 2048, most: 8192 } as const;

/** ssh2's own exchange that the hybrid one takes the place of: same hash, same messages. */
const STAND_IN_KEX = 'curve25519-sha256';
const CERTIFICATE = /-cert-v01@openssh\.com$/;

/**
 * Teaches one connection what ssh2 1.17.0 cannot: key exchange with ML-KEM, and hosts that show a certificate. ssh2
 * negotiates with a stand-in that it knows (curve25519, the plain type of key), while the bytes on the wire and in the
 * exchange hash are the true ones. Where anything here were wrong, the two hashes would differ and the server's
 * signature would not verify: it fails closed. To be called right after `connect()`, before any byte was read.
 * @returns undefined where this ssh2 is another one inside: it offers then what it was given at `connect()`
 */
export function extendKeyExchange(protocol: Protocol, parts: ExtensionParts): ExtendedExchange | undefined {
  const inside = exchangeInside(protocol);
  if (inside === undefined) return undefined;
  const extended = new ExtendedExchange(protocol, parts, inside.setOffer(listsOf(parts.offer)));
  inside.onPayload((payload) => extended.read(parts.screen(payload)));
  inside.onExchange((exchange) => extended.begin(exchange));
  return extended;
}

/** The exchanges of one connection, one after the other. */
export class ExtendedExchange {
  readonly #protocol: Protocol;
  readonly #parts: ExtensionParts;
  readonly #lists: OfferLists;
  #current: { readonly trueInit: Buffer; readonly kex: string; readonly hostKey: string } | undefined;
  #certificate: Buffer | undefined;

  constructor(protocol: Protocol, parts: ExtensionParts, lists: OfferLists) {
    this.#protocol = protocol;
    this.#parts = parts;
    this.#lists = lists;
  }

  /** The certificate that the host showed with its key last; undefined for a plain key. */
  get certificate(): Buffer | undefined {
    return this.#certificate;
  }

  /** Sees each message of the server before ssh2 does. @returns the message as ssh2 is to see it */
  read(payload: Buffer): Buffer {
    if (payload[0] === KEXINIT) return this.#agree(payload);
    const grouped = this.#current?.kex.includes('group-exchange') === true;
    if (grouped && payload[0] === GEX_GROUP) checkGroup(payload);
    const reply = grouped ? GEX_REPLY : KEX_REPLY;
    if (payload[0] === reply && this.#current !== undefined && CERTIFICATE.test(this.#current.hostKey))
      return this.#takeCertificate(payload);
    return payload;
  }

  /** Prepares an exchange that ssh2 has just made, before it sends its first message. */
  begin(exchange: Exchange): void {
    const current = this.#current;
    if (current === undefined) return;
    exchange._remoteKexinit = current.trueInit;
    if (current.kex === HYBRID_KEX && this.#parts.mlKem !== undefined) hybridise(exchange, this.#parts.mlKem);
    if (CERTIFICATE.test(current.hostKey)) hashCertificate(exchange, () => this.#certificate);
    const { negotiated } = exchange;
    negotiated.kex = current.kex;
    this.#parts.onSettled({
      kex: current.kex,
      hostKey: current.hostKey,
      ciphers: [negotiated.cs.cipher, negotiated.sc.cipher],
      macs: [negotiated.cs.mac, negotiated.sc.mac],
      strict: isStrict(this.#protocol),
    });
  }

  /** RFC 4253 section 7.1: the first of our names that the server has too. */
  #agree(payload: Buffer): Buffer {
    const lists = nameLists(payload);
    const { offer } = this.#parts;
    const kex = offer.kex.find((name) => lists.kex.includes(name)) ?? '';
    const hostKey = offer.serverHostKey.find((name) => lists.hostKey.includes(name)) ?? '';
    this.#current = { trueInit: Buffer.from(payload), kex, hostKey };
    this.#certificate = undefined;
    const plain = hostKey.replace(CERTIFICATE, '');
    const asKex = (names: readonly string[]): string[] =>
      kex === HYBRID_KEX ? substitute(names, kex, STAND_IN_KEX) : [...names];
    const asHostKey = (names: readonly string[]): string[] =>
      plain === hostKey ? [...names] : substitute(names, hostKey, plain);
    this.#lists.kex.array = asKex([...offer.kex, ...MARKERS]);
    this.#lists.serverHostKey.array = asHostKey(offer.serverHostKey);
    const [kexText, hostKeyText] = [asKex(lists.kex), asHostKey(lists.hostKey)].map((names) => names.join(','));
    return Buffer.concat([
      payload.subarray(0, 17),
      wireString(kexText ?? ''),
      wireString(hostKeyText ?? ''),
      lists.rest,
    ]);
  }

  /** ssh2 is handed the plain key; a host that shows something else than was agreed on is malformed to it. */
  #takeCertificate(payload: Buffer): Buffer {
    const reader = new WireReader(payload.subarray(1));
    const shown = Buffer.from(reader.string());
    return Buffer.concat([payload.subarray(0, 1), wireString(this.#plainKey(shown)), reader.rest()]);
  }

  #plainKey(shown: Buffer): Buffer {
    try {
      const wanted = (this.#current?.hostKey ?? '').replace(/^rsa-sha2-\d+/, 'ssh-rsa');
      if (new WireReader(shown).text() !== wanted) return NOTHING;
      const key = this.#parts.certifiedKey(shown);
      this.#certificate = shown;
      return key;
    } catch (error) {
      if (error instanceof RangeError) return NOTHING;
      throw error;
    }
  }
}

const NOTHING = Buffer.alloc(0);

/** What ssh2 appends to every client's offer (RFC 8308 section 2.1; PROTOCOL of OpenSSH, 1.10). */
const MARKERS = ['ext-info-c', 'kex-strict-c-v00@openssh.com'];

function listsOf({ kex, serverHostKey, cipher, hmac, compress }: Offer) {
  const way = { cipher: [...cipher], mac: [...hmac], compress: [...compress], lang: [] };
  return { kex: [...kex, ...MARKERS], serverHostKey: [...serverHostKey], cs: way, sc: way };
}

function nameLists(payload: Buffer): { kex: string[]; hostKey: string[]; rest: Buffer } {
  const reader = new WireReader(payload.subarray(17)); // after the cookie
  try {
    return { kex: reader.text().split(','), hostKey: reader.text().split(','), rest: reader.rest() };
  } catch (error) {
    if (error instanceof RangeError) return { kex: [], hostKey: [], rest: NOTHING }; // ssh2 refuses it as malformed
    throw error;
  }
}

/** A small group is no secret, and a huge one keeps this process busy for seconds. @throws ProtocolBreach */
function checkGroup(payload: Buffer): void {
  const prime = new WireReader(payload.subarray(1)).string();
  const start = prime.findIndex((byte) => byte !== 0);
  const bits = start < 0 ? 0 : (prime.length - start) * 8 - Math.clz32(prime[start] ?? 0) + 24;
  if (bits < GROUP_BITS.least || bits > GROUP_BITS.most)
    throw new ProtocolBreach(`a group of ${bits} bits for the key exchange`);
}

/** Puts the stand-in where the name was, and takes it from where it was itself: both sides' choice stays the same. */
function substitute(names: readonly string[], name: string, standIn: string): string[] {
  return names.flatMap((one) => (one === name ? [standIn] : one === standIn ? [] : [one]));
}

function hybridise(exchange: Exchange, mlKem: MlKem): void {
  const hybrid = new HybridExchange(mlKem);
  exchange.getPublicKey = () => hybrid.publicKey;
  exchange.convertPublicKey = (key) => key;
  exchange.computeSecret = (reply) => {
    try {
      return hybrid.secret(reply);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error)); // ssh2 ends the connection with it
    }
  };
}

/**
 * `finish` reads the host's key first to hash it and then to verify with it: what the server hashed and signed is the
 * certificate, what verifies is the plain key in it.
 */
function hashCertificate(exchange: Exchange, certificate: () => Buffer | undefined): void {
  const finish = exchange.finish.bind(exchange);
  let plain: Buffer | undefined;
  let hashing = false;
  Object.defineProperty(exchange, '_hostKey', {
    get: () => {
      const shown = hashing ? certificate() : undefined;
      hashing = false;
      return shown ?? plain;
    },
    set: (key: Buffer | undefined) => (plain = key),
  });
  exchange.finish = (withoutKeys) => {
    hashing = true;
    return finish(withoutKeys);
  };
}
