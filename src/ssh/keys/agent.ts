import { connect } from 'node:net';
import { wireString, wireUint32, WireReader } from '../../model/wire.ts';

/** A key that the agent holds: a plain public key, a certificate, or a security key. */
export interface AgentKey {
  readonly blob: Buffer;
  readonly keyType: string;
  readonly comment: string;
}

/** An agent that does not answer costs the login no more than this. */
const LIST_LIMIT_MS = 5_000;
/** A signature may wait for a touch or a confirmation. */
const SIGN_LIMIT_MS = 60_000;
/** OpenSSH's AGENT_MAX_LEN. */
const LARGEST_MESSAGE = 256 * 1024;

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
/** Flags of a sign request (draft-ietf-sshm-ssh-agent section 3.6.1). */
const SIGN_FLAGS: Readonly<Record<string, number>> = { 'rsa-sha2-256': 2, 'rsa-sha2-512': 4 };

/**
 * Speaks to an SSH agent (draft-ietf-sshm-ssh-agent), one connection for each question, so that an agent which was
 * restarted or locked meanwhile is seen as it is now. Every method rejects with an Error in plain words, within its limit.
 */
export class AgentClient {
  readonly #path: string;

  /** @param path a Unix socket, or a named pipe on Windows */
  constructor(path: string) {
    this.#path = path;
  }

  async keys(signal: AbortSignal): Promise<readonly AgentKey[]> {
    const answer = await this.#ask(Buffer.of(REQUEST_IDENTITIES), LIST_LIMIT_MS, signal);
    const reader = opened(answer, IDENTITIES_ANSWER, 'the agent does not list its keys');
    const count = reader.uint32();
    const keys: AgentKey[] = [];
    for (let index = 0; index < count; index++) {
      const blob = Buffer.from(reader.string());
      keys.push({ blob, keyType: new WireReader(blob).text(), comment: reader.text() });
    }
    return keys;
  }

  /** @param algorithm as `plainAlgorithm` names it @returns the whole signature, with its name */
  async sign(blob: Buffer, data: Buffer, algorithm: string, signal: AbortSignal): Promise<Buffer> {
    const flags = wireUint32(SIGN_FLAGS[algorithm] ?? 0);
    const request = Buffer.concat([Buffer.of(SIGN_REQUEST), wireString(blob), wireString(data), flags]);
    const answer = await this.#ask(request, SIGN_LIMIT_MS, signal);
    return Buffer.from(opened(answer, SIGN_RESPONSE, 'the agent refused to sign').string());
  }

  #ask(message: Buffer, limitMs: number, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#path);
      let received = Buffer.alloc(0);
      const finish = (error: Error | undefined, answer?: Buffer): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        socket.destroy();
        if (answer === undefined) reject(error ?? new Error('the agent closed the connection'));
        else resolve(answer);
      };
      const abort = (): void => finish(signal.reason instanceof Error ? signal.reason : new Error('Aborted'));
      const timer = setTimeout(() => finish(new Error(`the agent did not answer within ${limitMs / 1000} s`)), limitMs);
      signal.addEventListener('abort', abort, { once: true });
      socket.on('error', (error) => finish(new Error('the agent cannot be reached', { cause: error })));
      socket.on('close', () => finish(undefined));
      socket.on('connect', () => socket.write(wireString(message)));
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        const length = received.length < 4 ? undefined : received.readUInt32BE(0);
        if (length === undefined) return;
        if (length > LARGEST_MESSAGE) finish(new Error('the agent sent an oversized answer'));
        else if (received.length >= 4 + length) finish(undefined, received.subarray(4, 4 + length));
      });
      if (signal.aborted) abort();
    });
  }
}

/** @throws Error `refusal` where the answer is of another kind */
function opened(answer: Buffer, kind: number, refusal: string): WireReader {
  const reader = new WireReader(answer);
  if (reader.byte() !== kind) throw new Error(refusal);
  return reader;
}
