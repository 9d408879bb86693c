import { WireReader } from '../model/wire.ts';
import { NOTHING_SAID } from './compat/ignore-message.ts';

/** Where a connection is: before the host's key was accepted, before the login, after it. */
export type Stage = 'before trust' | 'login' | 'up';

/** A message that no SSH server sends in its right mind: the connection ends with it. ssh2 gives its own complaints a level too. */
export class ProtocolBreach extends Error {
  readonly level = 'protocol';
}

/** Message numbers (RFC 4250 section 4.1.2). */
const IGNORE = 2;
const SERVICE_REQUEST = 5;
const SERVICE_ACCEPT = 6;
const FIRST_OF_LOGIN = 50;
const USERAUTH_INFO_REQUEST = 60;
const FIRST_OF_CONNECTION = 80;
const GLOBAL_REQUEST = 80;
const CHANNEL_OPEN = 90;
const CHANNEL_OPEN_CONFIRMATION = 91;
const CHANNEL_DATA = 94;

const HOST_KEYS = 'hostkeys-00@openssh.com';

/**
 * Looks at each message of a server before ssh2 1.17.0 does, which takes any message at any time. Above all: while the
 * answer about a host key is awaited it already reads what comes under the new keys, so that a host which says "you are logged
 * in" right after its NEWKEYS was logged in to before its key was accepted, and got in clear text what followed.
 */
export class MessageScreen {
  #hostKeysSeen = false;

  /**
   * @returns the message as ssh2 is to see it
   * @throws ProtocolBreach
   */
  read(payload: Buffer, stage: Stage): Buffer {
    const type = payload[0] ?? IGNORE;
    if (type === CHANNEL_DATA && stage === 'up') return payload; // nearly all there is
    if (stage !== 'up') this.#early(type, stage);
    // RFC 4252 section 6: what is left of the login after its end means nothing.
    else if (type >= FIRST_OF_LOGIN && type < FIRST_OF_CONNECTION) return NOTHING_SAID;
    switch (type) {
      case USERAUTH_INFO_REQUEST:
        checkPrompts(payload);
        return payload;
      case CHANNEL_OPEN:
      case CHANNEL_OPEN_CONFIRMATION:
        checkPacketSize(payload, type);
        return payload;
      case GLOBAL_REQUEST:
        return this.#globalRequest(payload);
      default:
        return payload;
    }
  }

  /** RFC 4253 section 10, RFC 4252 section 4: no service before the keys, no connection before the login. */
  #early(type: number, stage: Stage): void {
    const service = type === SERVICE_REQUEST || type === SERVICE_ACCEPT;
    if (stage === 'before trust' && (type >= FIRST_OF_LOGIN || service))
      throw new ProtocolBreach(`message ${type} before its host key was accepted`);
    if (type >= FIRST_OF_CONNECTION) throw new ProtocolBreach(`message ${type} before the login`);
  }

  /** OpenSSH takes the list of host keys once for each connection: every one costs a proof, and room in known_hosts. */
  #globalRequest(payload: Buffer): Buffer {
    if (!payload.subarray(5).toString('latin1', 0, HOST_KEYS.length).startsWith(HOST_KEYS)) return payload;
    if (this.#hostKeysSeen) return NOTHING_SAID;
    this.#hostKeysSeen = true;
    return payload;
  }
}

/** ssh2 makes room for as many questions as are announced, before it looks whether they are there: 230 MB for a number. */
function checkPrompts(payload: Buffer): void {
  const reader = new WireReader(payload.subarray(1));
  try {
    for (let field = 0; field < 3; field += 1) reader.string();
    if (reader.uint32() <= reader.left / SMALLEST_PROMPT_BYTES) return;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // too short: it may be another message 60, which ssh2 reads
    return;
  }
  throw new ProtocolBreach('more questions announced than asked');
}

/** An empty text with its length, and whether to echo (RFC 4256 section 3.2). */
const SMALLEST_PROMPT_BYTES = 5;

/** Smaller packets are not meant, and cost more than they carry. */
const SMALLEST_PACKET_BYTES = 64;

/** To a channel that takes packets of no bytes ssh2 sends such packets for ever, and nothing else in this process runs. */
function checkPacketSize(payload: Buffer, type: number): void {
  const reader = new WireReader(payload.subarray(1));
  try {
    if (type === CHANNEL_OPEN) reader.string();
    else reader.uint32();
    const [, , most] = [reader.uint32(), reader.uint32(), reader.uint32()]; // sender, window, maximum packet size
    if (most >= SMALLEST_PACKET_BYTES) return;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // malformed, as ssh2 will say
    return;
  }
  throw new ProtocolBreach('a channel that takes packets of next to no bytes');
}
