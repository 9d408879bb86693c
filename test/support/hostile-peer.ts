import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { rawKey } from '../../src/ssh/keys/raw-key.ts';
import { wireMpint, wireString, wireUint32, WireReader } from '../../src/model/wire.ts';

/** Message numbers (RFC 4250 section 4.1.2). */
export const MSG = {
  disconnect: 1,
  ignore: 2,
  debug: 4,
  serviceAccept: 6,
  extInfo: 7,
  kexInit: 20,
  newKeys: 21,
  kexInitReply: 31,
  userauthRequest: 50,
  userauthFailure: 51,
  userauthSuccess: 52,
  userauthBanner: 53,
  userauthInfoRequest: 60,
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
} as const;

/** A message: its number, then its fields as they stand on the wire. */
export function message(type: number, ...fields: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(type), ...fields]);
}

/** What a KEXINIT offers; each list as it stands on the wire. */
export interface KexOffer {
  readonly kex?: string;
  readonly hostKey?: string;
  readonly cipher?: string;
}

/** How an exchange lies. */
export interface Spoil {
  /** Signs something else than the exchange hash. */
  readonly signature?: true;
  /** Shows this key as its own. */
  readonly hostKey?: Buffer;
}

interface Sealer {
  readonly key: Buffer;
  readonly iv: Buffer;
}

/** The host key of every hostile server: Ed25519. */
export class HostKey {
  readonly #private: KeyObject;
  readonly blob: Buffer;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#private = privateKey;
    this.blob = Buffer.concat([wireString('ssh-ed25519'), wireString(rawKey(publicKey))]);
  }

  get fingerprint(): string {
    return `SHA256:${createHash('sha256').update(this.blob).digest('base64').replace(/=+$/, '')}`;
  }

  sign(data: Buffer): Buffer {
    return Buffer.concat([wireString('ssh-ed25519'), wireString(sign(null, data, this.#private))]);
  }
}

const IDENT = 'SSH-2.0-hostile_1.0';
const CIPHER = 'aes128-gcm@openssh.com';
const BLOCK = 16;

/**
 * The server's side of one SSH connection, one step a method, so that a test can leave out, double or bend each. Speaks
 * curve25519-sha256, Ed25519 and AES-GCM and nothing else; checks nothing, since it is the one that is not to be trusted.
 */
export class HostilePeer {
  readonly socket: Socket;
  readonly hostKey: HostKey;
  readonly #news = new EventEmitter();
  #unread: Buffer = Buffer.alloc(0);
  #clientIdent = '';
  #ident = IDENT;
  #clientInit: Buffer = Buffer.alloc(0);
  #ownInit: Buffer = Buffer.alloc(0);
  #session: Buffer | undefined;
  #next: { readonly out: Sealer; readonly in: Sealer } | undefined;
  #out: Sealer | undefined;
  #in: Sealer | undefined;

  constructor(socket: Socket, hostKey: HostKey) {
    this.socket = socket;
    this.hostKey = hostKey;
    socket.on('data', (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#news.emit('news');
    });
    for (const event of ['end', 'close', 'drain']) socket.on(event, () => this.#news.emit('news'));
    socket.on('error', () => undefined);
  }

  /** Bytes as they are. @returns false where the client does not keep up */
  raw(bytes: Buffer | string): boolean {
    return this.socket.write(bytes);
  }

  /** One packet under the keys of the moment (RFC 4253 section 6; RFC 5647 for GCM). */
  send(...payloads: readonly Buffer[]): boolean {
    return this.raw(Buffer.concat(payloads.map((payload) => this.packet(payload))));
  }

  /** As `send`, at the client's pace. */
  async pour(...payloads: readonly Buffer[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // the client lives in this process too
    if (this.send(...payloads)) return;
    while (!this.#isOver && this.socket.writableNeedDrain) await once(this.#news, 'news');
  }

  /** The packet's bytes: its turn under the keys is used up. */
  packet(payload: Buffer): Buffer {
    const counted = this.#out === undefined ? 5 : 1;
    const padding = BLOCK - ((payload.length + counted) % BLOCK) + (this.#out === undefined ? BLOCK : 0);
    const padBytes = padding < 4 ? padding + BLOCK : padding;
    const body = Buffer.concat([Buffer.of(padBytes), payload, randomBytes(padBytes)]);
    const length = wireUint32(body.length);
    if (this.#out === undefined) return Buffer.concat([length, body]);
    const cipher = createCipheriv('aes-128-gcm', this.#out.key, this.#out.iv).setAAD(length);
    const sealed = Buffer.concat([length, cipher.update(body), cipher.final(), cipher.getAuthTag()]);
    count(this.#out.iv);
    return sealed;
  }

  /** The next message of the client. @throws where the connection ends first */
  async receive(): Promise<Buffer> {
    const length = (await this.#take(4)).readUInt32BE();
    if (this.#in === undefined) return unpadded(await this.#take(length));
    const sealed = await this.#take(length + 16);
    const decipher = createDecipheriv('aes-128-gcm', this.#in.key, this.#in.iv);
    decipher.setAAD(wireUint32(length)).setAuthTag(sealed.subarray(length));
    const body = Buffer.concat([decipher.update(sealed.subarray(0, length)), decipher.final()]);
    count(this.#in.iv);
    return unpadded(body);
  }

  /** The next message of that number; others are passed over. */
  async expect(type: number): Promise<Buffer> {
    for (;;) {
      const payload = await this.receive();
      if (payload[0] === type) return payload;
    }
  }

  /** Identifies itself and reads who the client is. */
  async greet(ident = IDENT): Promise<void> {
    this.#ident = ident;
    this.raw(`${ident}\r\n`);
    await this.hear();
  }

  async hear(): Promise<void> {
    while (!this.#unread.includes('\n')) await this.#more();
    const end = this.#unread.indexOf('\n');
    this.#clientIdent = this.#unread.subarray(0, end).toString('latin1').trimEnd();
    this.#unread = this.#unread.subarray(end + 1);
  }

  kexInit({ kex = 'curve25519-sha256,kex-strict-s-v00@openssh.com', hostKey, cipher = CIPHER }: KexOffer = {}): Buffer {
    const lists = [
      kex,
      hostKey ?? 'ssh-ed25519',
      cipher,
      cipher,
      'hmac-sha2-256',
      'hmac-sha2-256',
      'none',
      'none',
      '',
      '',
    ];
    return message(MSG.kexInit, randomBytes(16), ...lists.map(wireString), Buffer.alloc(5));
  }

  /** Both KEXINITs, and the exchange; the keys are ready, and not in use. */
  async exchange(offer: KexOffer = {}, spoil: Spoil = {}): Promise<void> {
    await this.offerKeys(offer);
    this.send(await this.reply(spoil));
  }

  /** Both KEXINITs: from here on the client waits for the `reply`. */
  async offerKeys(offer: KexOffer = {}): Promise<void> {
    this.#ownInit = this.kexInit(offer);
    this.send(this.#ownInit);
    this.#clientInit = await this.expect(MSG.kexInit);
  }

  /** The answer to the client's key, with which both have the secret. */
  async reply({ signature, hostKey = this.hostKey.blob }: Spoil = {}): Promise<Buffer> {
    const theirs = new WireReader((await this.expect(30)).subarray(1)).string();
    const own = generateKeyPairSync('x25519');
    const ours = rawKey(own.publicKey);
    const point = createPublicKey({
      key: { kty: 'OKP', crv: 'X25519', x: theirs.toString('base64url') },
      format: 'jwk',
    });
    const secret = wireMpint(diffieHellman({ privateKey: own.privateKey, publicKey: point }));
    const texts = [this.#clientIdent, this.#ident, this.#clientInit, this.#ownInit, hostKey, theirs, ours];
    const hash = sha256(...texts.map(wireString), secret);
    this.#session ??= hash;
    this.#next = { out: this.#derive('D', 'B', secret, hash), in: this.#derive('C', 'A', secret, hash) };
    const signed = this.hostKey.sign(signature === true ? randomBytes(32) : hash);
    return message(MSG.kexInitReply, wireString(hostKey), wireString(ours), wireString(signed));
  }

  /** Says NEWKEYS; what follows is sealed with the new ones. */
  newKeys(): void {
    this.send(message(MSG.newKeys));
    this.#out = this.#next?.out;
  }

  /** Waits for the client's NEWKEYS. */
  async theirNewKeys(): Promise<void> {
    await this.expect(MSG.newKeys);
    this.#in = this.#next?.in;
  }

  /** From the first byte to the service that was asked for. */
  async begin(): Promise<void> {
    await this.greet();
    await this.exchange();
    this.newKeys();
    await this.theirNewKeys();
    await this.expect(5);
    this.send(message(MSG.serviceAccept, wireString('ssh-userauth')));
  }

  /** And lets the client in, whoever it is. */
  async admit(): Promise<void> {
    await this.begin();
    await this.expect(MSG.userauthRequest);
    this.send(message(MSG.userauthSuccess));
  }

  /** Confirms the next channel that the client opens. @returns the client's number of it */
  async confirm({ window = 2 ** 21, packet = 32_768 }: { window?: number; packet?: number } = {}): Promise<number> {
    const reader = new WireReader((await this.expect(MSG.channelOpen)).subarray(1));
    reader.text();
    const channel = reader.uint32();
    this.send(message(MSG.channelOpenConfirmation, ...[channel, 7, window, packet].map(wireUint32)));
    return channel;
  }

  /** What the client has sent and nobody has read yet, as it was on the wire. */
  get unread(): Buffer {
    return this.#unread;
  }

  /** Resolves once the connection has ended. */
  async ended(): Promise<void> {
    while (!this.#isOver) await once(this.#news, 'news');
  }

  get #isOver(): boolean {
    return this.socket.destroyed || this.socket.readableEnded;
  }

  #derive(key: string, iv: string, secret: Buffer, hash: Buffer): Sealer {
    const part = (letter: string): Buffer => sha256(secret, hash, Buffer.from(letter), this.#session ?? hash);
    return { key: part(key).subarray(0, 16), iv: Buffer.from(part(iv).subarray(0, 12)) };
  }

  async #take(bytes: number): Promise<Buffer> {
    while (this.#unread.length < bytes) await this.#more();
    const taken = this.#unread.subarray(0, bytes);
    this.#unread = this.#unread.subarray(bytes);
    return taken;
  }

  async #more(): Promise<void> {
    if (this.#isOver) throw new Error('The client has left');
    await once(this.#news, 'news');
  }
}

function unpadded(body: Buffer): Buffer {
  return body.subarray(1, body.length - (body[0] ?? 0));
}

/** The invocation counter of a GCM nonce (RFC 5647 section 7.1). */
function count(iv: Buffer): void {
  iv.writeBigUInt64BE(BigInt.asUintN(64, iv.readBigUInt64BE(4) + 1n), 4);
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
