import type { Socket } from 'node:net';
import type { Channel, Originator } from '../../link/transport.ts';
import type { Clock } from '../../model/clock.ts';
import { formatEndpoint } from '../../model/endpoint.ts';
import { asTunnelError, TunnelError, type FailureCode } from '../../model/failure.ts';
import { watchHeldClient } from './client-watch.ts';
import type { Counted, Outcome } from './connections.ts';
import { SocketParley } from '../parley/parley.ts';
import { resetOrDestroy } from '../splice/reset.ts';
import { CLIENT_GONE, type Bargain, type Route } from '../reach/route.ts';
import { Splice, type SpliceEnding } from '../splice/splice.ts';
import { unlessAborted } from '../unless-aborted.ts';

export interface ConnectionOptions {
  readonly socket: Socket;
  /** `address:port`, or 'unix'. */
  readonly client: string;
  readonly originator: Originator;
  readonly route: Route;
  readonly clock: Clock;
  /** From accept to the open channel, outages included. */
  readonly holdMs: number;
  /** Whether a link is up: what a silent end of the client's means depends on it. */
  readonly linkUp: () => boolean;
  /** Resolves when others have left the listener to it, never rejects; null where nobody is in its way. */
  readonly turn: Promise<void> | null;
}

/** These the target or its server decided: the client sees what ssh would show it. Others are losses: a reset. */
const ANSWERED: ReadonlySet<FailureCode> = new Set(['TARGET_REFUSED', 'TARGET_PROHIBITED', 'NAME_UNRESOLVED']);

/** One accepted socket from accept to the end of both directions. Owns the socket. */
export class AcceptedConnection implements Counted {
  readonly client: string;
  readonly #options: ConnectionOptions;
  readonly #acceptedMs: number;
  readonly #abort = new AbortController();
  #queued: boolean;
  readonly #parley: SocketParley;
  #bargain: Bargain | undefined;
  #splice: Splice | undefined;

  constructor(options: ConnectionOptions) {
    this.client = options.client;
    this.#options = options;
    this.#parley = new SocketParley(options.socket);
    this.#acceptedMs = options.clock.nowMs();
    this.#queued = options.turn !== null;
  }

  /** False while it waits for its channel. */
  get served(): boolean {
    return this.#splice !== undefined;
  }

  /** It waits for others to leave, and for nothing else so far. */
  get queued(): boolean {
    return this.#queued;
  }

  /** Where it leads, once that is agreed. */
  get target(): string {
    return this.#bargain === undefined ? this.#options.route.label : formatEndpoint(this.#bargain.target);
  }

  /** From the target to the client. */
  get receivedBytes(): number {
    return this.#splice?.fromChannelBytes ?? 0;
  }

  /** From the client to the target. */
  get sentBytes(): number {
    return this.#splice?.fromSocketBytes ?? 0;
  }

  get durationMs(): number {
    return Math.round(this.#options.clock.nowMs() - this.#acceptedMs);
  }

  /** Opens the channel within the budget, then carries bytes. Resolves when nothing of it is left; never rejects. */
  async run(): Promise<Outcome> {
    const { socket } = this.#options;
    socket.on('error', () => undefined); // 'close' follows, and says all that can be done about it
    const opened = await this.#open();
    if (opened instanceof TunnelError) return this.#end(opened);
    if (socket.destroyed) {
      opened.abort();
      return { name: 'gone' };
    }
    const ending = await this.#carry(opened);
    return { name: 'served', ending };
  }

  /** Ends it now for a reason of ours: the client sees a reset. Safe to call at any time. */
  cut(reason: TunnelError): void {
    this.#abort.abort(reason);
    this.#splice?.cut(reason);
  }

  async #open(): Promise<Channel | TunnelError> {
    const { socket, route, clock, holdMs, originator } = this.#options;
    const { signal } = this.#abort;
    const stopWatching = watchHeldClient(socket, {
      gone: () => this.#abort.abort(CLIENT_GONE),
      silentEnd: () => this.#silentEnd(),
    });
    let stopBudget = (): void => undefined;
    try {
      // Waits as long as the client does.
      if (this.#options.turn !== null) await unlessAborted(this.#options.turn, signal);
      this.#queued = false;
      stopBudget = clock.after(holdMs, () => this.#abort.abort(this.#expired()));
      const bargain = await route.negotiate(this.#parley, signal);
      this.#bargain = bargain;
      const channel = await (bargain.dial === undefined
        ? route.dial(bargain.target, originator, signal)
        : bargain.dial(bargain.target, originator, signal));
      bargain.opened?.();
      return channel;
    } catch (thrown) {
      const error = asTunnelError(signal.aborted ? signal.reason : thrown);
      if (error !== CLIENT_GONE) this.#bargain?.failed?.(error);
      return error;
    } finally {
      stopWatching();
      stopBudget();
    }
  }

  /**
   * A client that ends without a byte may have given up, as mail programs do, or may want to read only. With a link up it is
   * served at once and both are right. In an outage and in a queue it is let go: nobody is opened a connection for who has left.
   */
  #silentEnd(): void {
    if (this.#queued || !this.#options.linkUp()) this.#abort.abort(CLIENT_GONE);
  }

  #expired(): TunnelError {
    const { holdMs, linkUp } = this.#options;
    const unopened = this.#bargain?.dial === undefined ? 'the server did not open a channel' : 'no target answered';
    const why = linkUp() ? unopened : 'the SSH connection is down';
    return new TunnelError('HOLD_EXPIRED', `Cannot reach ${this.target} within ${holdMs / 1_000} s: ${why}`);
  }

  /**
   * As ssh: closed in order, but with a reset where the client had already sent what nobody will read. One that was told
   * why in its own protocol gets to read that.
   */
  #end(error: TunnelError): Outcome {
    const { socket } = this.#options;
    if (this.#parley.spoken) socket.resume().destroySoon();
    else if (ANSWERED.has(error.code) && socket.readableLength === 0) socket.destroySoon();
    else resetOrDestroy(socket);
    return error === CLIENT_GONE ? { name: 'gone' } : { name: 'failed', error };
  }

  #carry(channel: Channel): Promise<SpliceEnding> {
    return new Promise((resolve) => {
      const { rest } = this.#parley;
      this.#splice = new Splice(this.#options.socket, channel, resolve);
      if (rest !== undefined) this.#splice.sendFirst(rest);
      this.#splice.start();
    });
  }
}
