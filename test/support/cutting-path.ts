import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Where the client's next read ends: so many bytes after the end of a packet, or before it. */
export type Cut = (packetEndsAt: number) => number | undefined;

const NEWKEYS = 21;
/** Of a packet's length (RFC 4253 section 6), which AES-GCM and the MACs of encrypt-then-MAC leave readable. */
const LENGTH_BYTES = 4;

/**
 * A stretch of network that decides where the client's reads end: what comes after a cut waits until the client has read what was
 * before it. It knows where the server's packets end, so that a cut may fall between a packet and its MAC, which on a real
 * network it does once in thousands of reads.
 */
export class CuttingPath implements AsyncDisposable {
  readonly #server: Server;
  readonly #tagBytes: number;
  readonly #sockets = new Set<Socket>();
  #cut: Cut = () => undefined;
  #readBytes: () => number = () => Infinity;

  /** @param tagBytes of the cipher or MAC: 16 for AES-GCM, 32 for hmac-sha2-256-etm@openssh.com */
  private constructor(sshPort: number, tagBytes: number) {
    this.#tagBytes = tagBytes;
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = connect({ port: sshPort, host: '127.0.0.1', noDelay: true });
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => undefined);
        one.on('close', () => other.destroy());
      }
      near.pipe(far);
      void this.#pass(far, near);
    });
  }

  static async to(sshPort: number, tagBytes: number): Promise<CuttingPath> {
    const path = new CuttingPath(sshPort, tagBytes);
    path.#server.listen(0, '127.0.0.1');
    await once(path.#server, 'listening');
    return path;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  /** From now on. @param readBytes what the client has read of the one connection that goes through here */
  begin(cut: Cut, readBytes: () => number): void {
    this.#cut = cut;
    this.#readBytes = readBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #pass(from: Socket, to: Socket): Promise<void> {
    const packets = new PacketEnds(this.#tagBytes);
    let sentBytes = 0;
    try {
      for await (const chunk of from) {
        if (!Buffer.isBuffer(chunk)) return;
        const cuts = packets.in(chunk).flatMap((endsAt) => this.#cut(endsAt) ?? []);
        for (const piece of divided(chunk, cuts, sentBytes)) {
          to.write(piece);
          sentBytes += piece.length;
          while (!to.destroyed && this.#readBytes() < sentBytes) await new Promise((resolve) => setImmediate(resolve));
        }
      }
    } catch (error) {
      to.destroy(error instanceof Error ? error : undefined); // the server's side was cut
    }
    to.end();
  }
}

function divided(chunk: Buffer, cuts: readonly number[], startsAt: number): readonly Buffer[] {
  const within = cuts.map((at) => at - startsAt).filter((at) => at > 0 && at < chunk.length);
  const ends = [...new Set(within).add(chunk.length)].sort((a, b) => a - b);
  return ends.map((end, index) => chunk.subarray(ends[index - 1] ?? 0, end));
}

/** Follows the packets of one direction from its first byte. */
class PacketEnds {
  readonly #tagBytes: number;
  /** Not looked at yet. */
  #rest = Buffer.alloc(0);
  #restAt = 0;
  #sealed = false;
  #identified = false;

  constructor(tagBytes: number) {
    this.#tagBytes = tagBytes;
  }

  /** @returns where packets end that have begun by now, counted from the connection's first byte; each once */
  in(chunk: Buffer): number[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (!this.#identified) {
      const line = this.#rest.indexOf('\n') + 1;
      if (line === 0) return [];
      this.#identified = true;
      this.#drop(line);
    }
    const ends: number[] = [];
    for (let bytes = this.#packetBytes(); bytes !== undefined; bytes = this.#packetBytes()) {
      ends.push(this.#restAt + bytes);
      if (!this.#sealed && this.#rest[LENGTH_BYTES + 1] === NEWKEYS) this.#sealed = true;
      this.#drop(bytes);
    }
    return ends;
  }

  /** Of the packet that begins here, once all of it is here. */
  #packetBytes(): number | undefined {
    if (this.#rest.length < LENGTH_BYTES) return undefined;
    const bytes = LENGTH_BYTES + this.#rest.readUInt32BE(0) + (this.#sealed ? this.#tagBytes : 0);
    return bytes <= this.#rest.length ? bytes : undefined;
  }

  #drop(bytes: number): void {
    this.#rest = this.#rest.subarray(bytes);
    this.#restAt += bytes;
  }
}
