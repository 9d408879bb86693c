import type { Endpoint } from '../model/endpoint.ts';
import type { Channel, OnIncoming, Originator, Transport } from './transport.ts';

/**
 * One transport and what is in use on it, so that it can be left to end when the last use is gone. It stands beside
 * the path of the bytes and not in it: of a channel only `attach`, `abort` and the sink's `closed` are watched.
 */
export class Connection {
  readonly transport: Transport;
  /** Channels open or being opened, and listeners on the server. */
  #uses = 0;
  #listeners = 0;
  #onQuiet: () => void = () => undefined;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  get busy(): boolean {
    return this.#uses > 0;
  }

  /** Channels open or being opened. */
  get channels(): number {
    return this.#uses - this.#listeners;
  }

  /** Calls back each time the last use has gone. One callback, the last one given. */
  onQuiet(callback: () => void): void {
    this.#onQuiet = callback;
  }

  /** As `Transport.openDirect`; an open under way is a use. */
  async open(target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel> {
    this.#uses += 1;
    try {
      return this.#follow(await this.transport.openDirect(target, originator, signal));
    } catch (error) {
      this.#gone();
      throw error;
    }
  }

  /** As `Transport.requestForward`; the listener is a use until it is cancelled, each accepted channel until it closes. */
  async requestForward(bind: Endpoint, onChannel: OnIncoming, signal: AbortSignal): Promise<Endpoint> {
    this.#uses += 1;
    this.#listeners += 1;
    const counted: OnIncoming = (incoming) =>
      onChannel({
        originator: incoming.originator,
        accept: () => {
          const channel = incoming.accept();
          this.#uses += 1;
          return this.#follow(channel);
        },
        refuse: () => incoming.refuse(),
      });
    try {
      return await this.transport.requestForward(bind, counted, signal);
    } catch (error) {
      this.#listeners -= 1;
      this.#gone();
      throw error;
    }
  }

  /** As `Transport.cancelForward`, for what was granted and not cancelled yet. */
  async cancelForward(bind: Endpoint, signal: AbortSignal): Promise<void> {
    try {
      await this.transport.cancelForward(bind, signal);
    } finally {
      this.#listeners -= 1;
      this.#gone();
    }
  }

  /**
   * Shadows methods on the channel and its sink themselves: a wrapper around them would cost one more call for every chunk.
   * A channel that was never attached reports no `closed`, so its `abort` is watched too.
   */
  #follow(channel: Channel): Channel {
    let counted = true;
    let attached = false;
    const gone = (): void => {
      if (counted) this.#gone();
      counted = false;
    };
    const attach = channel.attach.bind(channel);
    const abort = channel.abort.bind(channel);
    channel.attach = (sink) => {
      attached = true;
      const closed = sink.closed.bind(sink);
      sink.closed = (error) => {
        try {
          closed(error);
        } finally {
          gone();
        }
      };
      attach(sink);
    };
    channel.abort = () => {
      abort();
      if (!attached) gone();
    };
    return channel;
  }

  #gone(): void {
    this.#uses -= 1;
    if (this.#uses === 0) this.#onQuiet();
  }
}
