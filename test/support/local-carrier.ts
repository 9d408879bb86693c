import { dialLocal } from '../../src/forward/reach/dial.ts';
import type { Carrier, RemoteListener } from '../../src/link/carrier.ts';
import type { Channel, ChannelSink, Originator } from '../../src/link/transport.ts';
import type { Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';

/**
 * A carrier without SSH: dials targets from here while it is up, holds opens while it is down. What a test may do to it is
 * what happens to a link: `lose`, `comeBack`, `refuse`.
 */
export class LocalCarrier implements Carrier {
  /** Forwards that need a link now. */
  needs = 0;
  /** Opens asked for so far, and those that wait for the link now. */
  opens = 0;
  waiting = 0;
  readonly originators: Originator[] = [];
  readonly channels = new Set<CutChannel>();
  #up: boolean;
  #refusal: TunnelError | undefined;
  readonly #wakes = new Set<() => void>();

  constructor(up = true) {
    this.#up = up;
  }

  get up(): boolean {
    return this.#up;
  }

  /** The link is lost: its channels are cut with the reason, opens wait from now on. */
  lose(reason = new TunnelError('CONNECTION_LOST', 'Cannot go on with the SSH connection: lost')): void {
    this.#up = false;
    for (const channel of this.channels) channel.cut(reason);
  }

  comeBack(): void {
    this.#up = true;
    for (const wake of this.#wakes) wake();
  }

  /** Answers every open with this error; undefined opens again. */
  refuse(error: TunnelError | undefined): void {
    this.#refusal = error;
  }

  async open(target: Endpoint, originator: Originator, signal: AbortSignal): Promise<Channel> {
    this.opens += 1;
    this.originators.push(originator);
    if (!this.#up) await this.#linkUp(signal);
    if (this.#refusal !== undefined) throw this.#refusal;
    const channel = new CutChannel(await dialLocal(target, signal), () => this.channels.delete(channel));
    this.channels.add(channel);
    return channel;
  }

  need(): () => void {
    this.needs += 1;
    return () => {
      this.needs -= 1;
    };
  }

  listen(): RemoteListener {
    throw new Error('This carrier has no server that could listen');
  }

  #linkUp(signal: AbortSignal): Promise<void> {
    this.waiting += 1;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.waiting -= 1;
        this.#wakes.delete(wake);
        signal.removeEventListener('abort', aborted);
      };
      const wake = (): void => {
        settle();
        resolve();
      };
      const aborted = (): void => {
        settle();
        reject(signal.reason as Error);
      };
      this.#wakes.add(wake);
      signal.addEventListener('abort', aborted, { once: true });
    });
  }
}

/** A channel that a test can close, as the far side or the loss of a link does. Closed once, by whichever comes first. */
export class CutChannel implements Channel {
  readonly #inner: Channel;
  readonly #onClosed: () => void;
  #sink: ChannelSink | undefined;
  #closed = false;
  /** Calls so far. */
  pauses = 0;
  aborts = 0;

  constructor(inner: Channel, onClosed: () => void = () => undefined) {
    this.#inner = inner;
    this.#onClosed = onClosed;
  }

  /** Without a reason: the far side has closed both directions in order. */
  cut(reason?: TunnelError): void {
    this.#close(reason);
    this.#inner.abort();
  }

  attach(sink: ChannelSink): void {
    this.#sink = sink;
    this.#inner.attach({
      data: (chunk) => void (this.#closed || sink.data(chunk)),
      end: () => void (this.#closed || sink.end()),
      drain: () => void (this.#closed || sink.drain()),
      closed: (error) => this.#close(error),
    });
  }

  write(chunk: Buffer): boolean {
    return this.#inner.write(chunk);
  }

  ready(): boolean {
    return this.#inner.ready();
  }

  end(): void {
    this.#inner.end();
  }

  abort(): void {
    this.aborts += 1;
    this.#inner.abort();
  }

  pause(): void {
    this.pauses += 1;
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  #close(error: TunnelError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClosed();
    this.#sink?.closed(error);
  }
}
