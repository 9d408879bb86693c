import { Duplex } from 'node:stream';
import type { Channel } from '../../link/transport.ts';

/**
 * A channel as a Node stream, for code that needs one (TLS). Not for the hot path. Destroying it aborts the channel;
 * ended both ways, the channel closes by itself.
 */
export class ChannelStream extends Duplex {
  readonly #channel: Channel;
  #ended = false;
  #blocked: (() => void) | undefined;

  constructor(channel: Channel) {
    super({ allowHalfOpen: true });
    this.#channel = channel;
    channel.attach({
      data: (chunk) => {
        if (!this.push(chunk)) channel.pause();
      },
      end: () => this.#sourceEnded(),
      drain: () => this.#unblock(),
      closed: (error) => {
        this.#unblock();
        if (error === undefined) this.#sourceEnded();
        else this.destroy(error);
      },
    });
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#channel.write(chunk)) done();
    else this.#blocked = done;
  }

  override _final(done: () => void): void {
    this.#channel.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (error !== null || !this.#ended || !this.writableFinished) this.#channel.abort();
    done(error);
  }

  #sourceEnded(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(null);
  }

  #unblock(): void {
    const done = this.#blocked;
    this.#blocked = undefined;
    done?.();
  }
}
