import type { Channel, OnIncoming, Originator } from '../../link/transport.ts';
import type { Clock } from '../../model/clock.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { asTunnelError, TunnelError } from '../../model/failure.ts';
import { ChannelParley } from '../parley/channel-parley.ts';
import type { Counted, Outcome } from './connections.ts';
import { dialSocket } from '../reach/dial.ts';
import { CLIENT_GONE, type Bargain, type Negotiate } from '../reach/route.ts';
import { Splice } from '../splice/splice.ts';
import { unlessAborted } from '../unless-aborted.ts';

type Incoming = Parameters<OnIncoming>[0];

export interface IncomingOptions {
  readonly incoming: Incoming;
  /** `address:port`, or 'unix'. */
  readonly client: string;
  /** What its target is called until that is agreed. */
  readonly label: string;
  /** Where everybody goes, or how each says so. */
  readonly goal: Endpoint | Negotiate;
  readonly clock: Clock;
  /** From its turn to the connected target. */
  readonly withinMs: number;
  /** Resolves when others have left the listener to it, never rejects; null where nobody is in its way. */
  readonly turn: Promise<void> | null;
}

/** A refused client reads why before its channel is closed; after this long it has had its chance. */
const LAST_WORDS_MS = 1_000;

/** One connection that the server accepted for us, from its news to the end of both directions. */
export class IncomingConnection implements Counted {
  readonly client: string;
  readonly originator: Originator;
  readonly #options: IncomingOptions;
  readonly #startedMs: number;
  readonly #abort = new AbortController();
  #queued: boolean;
  #target: Endpoint | undefined;
  #splice: Splice | undefined;

  constructor(options: IncomingOptions) {
    this.client = options.client;
    this.originator = options.incoming.originator;
    this.#options = options;
    this.#startedMs = options.clock.nowMs();
    this.#queued = options.turn !== null;
  }

  /** It waits for others to leave, and for nothing else so far. */
  get queued(): boolean {
    return this.#queued;
  }

  /** Where it leads, once that is agreed. */
  get target(): string {
    return this.#target === undefined ? this.#options.label : formatEndpoint(this.#target);
  }

  /** From the target to the client. */
  get receivedBytes(): number {
    return this.#splice?.fromSocketBytes ?? 0;
  }

  /** From the client to the target. */
  get sentBytes(): number {
    return this.#splice?.fromChannelBytes ?? 0;
  }

  get durationMs(): number {
    return Math.round(this.#options.clock.nowMs() - this.#startedMs);
  }

  /** Reaches the target when its turn has come, then carries bytes. Resolves when nothing of it is left; never rejects. */
  async run(): Promise<Outcome> {
    const { clock, withinMs, goal, turn } = this.#options;
    let cancel = (): void => undefined;
    try {
      const waited = turn === null ? undefined : await this.#turnCome(turn);
      cancel = clock.after(withinMs, () => this.#abort.abort(this.#late()));
      return await (typeof goal === 'function'
        ? this.#negotiated(waited ?? this.#accepted(), goal, cancel)
        : this.#fixed(waited, goal, cancel));
    } catch (thrown) {
      const { signal } = this.#abort;
      const error = asTunnelError(signal.aborted ? signal.reason : thrown);
      return error === CLIENT_GONE ? { name: 'gone' } : { name: 'failed', error };
    } finally {
      cancel();
    }
  }

  /** Ends it now for a reason of ours. Safe to call at any time. */
  cut(reason: TunnelError): void {
    this.#abort.abort(reason);
    this.#splice?.cut(reason);
  }

  /**
   * Waits as long as the client does. The server hears yes before that: of a client that it has not served so far it would
   * not tell that it has left.
   */
  async #turnCome(turn: Promise<void>): Promise<ChannelParley> {
    const client = this.#accepted(() => this.#queued && this.#abort.abort(CLIENT_GONE));
    try {
      await unlessAborted(turn, this.#abort.signal);
    } catch (error) {
      client.abort();
      throw error;
    }
    this.#queued = false;
    return client;
  }

  #accepted(onLeft?: () => void): ChannelParley {
    return new ChannelParley(this.#options.incoming.accept(), onLeft);
  }

  /** As ssh: the target is there before the server hears yes, so that its client learns of a refusal. */
  async #fixed(waited: ChannelParley | undefined, target: Endpoint, cancel: () => void): Promise<Outcome> {
    const { incoming } = this.#options;
    this.#target = target;
    const socket = await dialSocket(target, this.#abort.signal).catch((error: unknown) => {
      if (waited === undefined) incoming.refuse();
      else waited.abort();
      throw error;
    });
    cancel();
    try {
      return await this.#carry(socket, waited ?? incoming.accept());
    } catch (error) {
      socket.destroy(); // the link was lost between the news and our answer
      throw error;
    }
  }

  async #negotiated(client: ChannelParley, negotiate: Negotiate, cancel: () => void): Promise<Outcome> {
    const { signal } = this.#abort;
    let bargain: Bargain | undefined;
    try {
      bargain = await negotiate(client, signal);
      this.#target = bargain.target;
      const socket = await dialSocket(bargain.target, signal);
      cancel();
      bargain.opened?.();
      return await this.#carry(socket, client);
    } catch (thrown) {
      const error = asTunnelError(signal.aborted ? signal.reason : thrown);
      if (error !== CLIENT_GONE) bargain?.failed?.(error);
      this.#seeOff(client);
      throw error;
    }
  }

  #carry(socket: Awaited<ReturnType<typeof dialSocket>>, channel: Channel): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#splice = new Splice(socket, channel, (ending) => resolve({ name: 'served', ending }));
      this.#splice.start();
    });
  }

  /** What was written goes out before the close, which would drop it. */
  #seeOff(client: ChannelParley): void {
    const cancel = this.#options.clock.after(LAST_WORDS_MS, () => client.abort());
    client.attach({ data: () => undefined, end: () => undefined, drain: () => undefined, closed: cancel });
    client.end();
  }

  #late(): TunnelError {
    const where = this.#target === undefined ? 'the target' : this.target;
    const seconds = this.#options.withinMs / 1_000;
    return new TunnelError('CONNECT_TIMEOUT', `Cannot connect to ${where}: no answer within ${seconds} s`);
  }
}
