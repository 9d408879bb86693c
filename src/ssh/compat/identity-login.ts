import ssh2, { type IdentityCallback, type ParsedKey, type SignCallback, type SigningRequestOptions } from 'ssh2';
import { wireString } from '../../model/wire.ts';
import { sendPacket } from './internals.ts';
import type { Protocol, SignRequest } from './protocol.ts';

/** One key to log in with, as it will be offered. */
export interface OfferedKey {
  /** Signature algorithm by its name on the wire: `rsa-sha2-512`, `ssh-ed25519-cert-v01@openssh.com`. */
  readonly algorithm: string;
  /** Public key or certificate as the server gets it. */
  readonly blob: Buffer;
  /** Called only after the server said that it would take the key. @returns the whole signature (RFC 4253 section 6.6) */
  sign(data: Buffer): Promise<Buffer>;
}

/**
 * An "agent" that holds a single key, for ssh2's `authHandler`: the one way to have ssh2 ask the server about a key
 * first and need the private half only afterwards, as OpenSSH does. Needs `sendOfferedKeys` on the same connection.
 */
export class SingleKeyAgent extends ssh2.BaseAgent<ParsedKey> {
  readonly #key: ParsedKey;
  readonly #offered: OfferedKey;
  readonly #broken: (error: unknown) => void;

  /** @param broken told of an error in the answer to ssh2 itself, which nobody else would hear of */
  constructor(offered: OfferedKey, broken: (error: unknown) => void) {
    super();
    this.#broken = broken;
    this.#offered = offered;
    this.#key = asSsh2Key(offered);
  }

  override getIdentities(callback: IdentityCallback<ParsedKey>): void {
    callback(null, [this.#key]);
  }

  override sign(
    _key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    const answer = typeof options === 'function' ? options : callback;
    if (answer === undefined) return;
    this.#offered
      .sign(data)
      .then(
        (signature) => answer(null, signature),
        (error: unknown) => answer(error instanceof Error ? error : new Error(String(error))),
      )
      .catch(this.#broken);
  }
}

/**
 * Replaces ssh2's own public key request, which knows neither certificates nor security keys nor a choice of RSA
 * signature: it names the algorithm of the offered key and appends the signature as the signer made it.
 */
export function sendOfferedKeys(protocol: Protocol): void {
  const original = protocol.authPK.bind(protocol);
  protocol.authPK = (username, key, algorithm, sign) => {
    const offered = OFFERED.get(key);
    if (offered === undefined) return original(username, key, algorithm, sign);
    const signer = typeof algorithm === 'function' ? algorithm : sign; // ssh2 leaves the algorithm out at times
    return signer === undefined ? ask(protocol, username, offered) : prove(protocol, username, offered, signer);
  };
}

/** RFC 4252 section 7: "would you take this key?" */
function ask(protocol: Protocol, username: string, offered: OfferedKey): void {
  send(protocol, request(username, offered, false));
}

function prove(protocol: Protocol, username: string, offered: OfferedKey, sign: SignRequest): void {
  const body = request(username, offered, true);
  const session = protocol._kex?.sessionID;
  if (session === undefined) throw new Error('A login began before the key exchange had ended');
  sign(Buffer.concat([wireString(session), body]), (signature) => {
    send(protocol, Buffer.concat([body, wireString(signature)]));
  });
}

function request(username: string, offered: OfferedKey, signed: boolean): Buffer {
  return Buffer.concat([
    Buffer.of(USERAUTH_REQUEST),
    wireString(username),
    wireString('ssh-connection'),
    wireString('publickey'),
    Buffer.of(signed ? 1 : 0),
    wireString(offered.algorithm),
    wireString(offered.blob),
  ]);
}

const USERAUTH_REQUEST = 50;

function send(protocol: Protocol, payload: Buffer): void {
  if (protocol._destruct === undefined) return; // the connection ended while somebody typed a passphrase
  const writer = protocol._packetRW.write;
  const start = writer.allocStart;
  const packet = writer.alloc(payload.length);
  packet.set(payload, start);
  protocol._authsQueue.push('publickey');
  sendPacket(protocol, writer.finalize(packet));
}

const OFFERED = new WeakMap<object, OfferedKey>();

/** ssh2 knows a parsed key by a hidden mark, which an object made from one inherits. */
function asSsh2Key(offered: OfferedKey): ParsedKey {
  const key: unknown = Object.create(ANY_KEY, {
    type: { value: offered.algorithm },
    getPublicSSH: { value: () => offered.blob },
  });
  if (!isParsedKey(key)) throw new Error('ssh2 does not know its own key any more');
  OFFERED.set(key, offered);
  return key;
}

function isParsedKey(value: unknown): value is ParsedKey {
  return typeof value === 'object' && value !== null && 'getPublicSSH' in value;
}

/** A public key of nobody, which lends its mark. */
const ANY_KEY = (() => {
  const key = ssh2.utils.parseKey(
    `ssh-ed25519 ${Buffer.concat([wireString('ssh-ed25519'), wireString(Buffer.alloc(32, 9))]).toString('base64')}`,
  );
  if (key instanceof Error) throw key;
  return key;
})();
