import type { Endpoint } from '../../src/model/endpoint.ts';
import { TunnelError } from '../../src/model/failure.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Channel, ChannelSink, Dial, DialRequest, OnIncoming, Transport } from '../../src/link/transport.ts';

export const LOST = new TunnelError('CONNECTION_LOST', 'Cannot keep the connection: reset');
export const REFUSED = new TunnelError('CONNECT_REFUSED', 'Cannot connect to 127.0.0.1:22: refused');
export const LOGIN_REFUSED = new TunnelError('LOGIN_REFUSED', 'Cannot log in as alice: refused');

/** A promise is waited for, then it comes up. */
type Outcome = 'up' | 'hang' | Promise<void> | TunnelError;

/**
 * A dial whose outcomes a test writes beforehand: for the link's own rules in time, where a real server could only be slower.
 * Beyond the script every dial comes up. It keeps what was dialled when.
 */
export class ScriptedDial {
  readonly requests: DialRequest[] = [];
  readonly atMs: number[] = [];
  readonly transports: ScriptedTransport[] = [];
  /** What the next transport's requests to listen meet. */
  nextRefusals: readonly TunnelError[] = [];
  /** Dials under way now. */
  open = 0;
  readonly #script: Outcome[];
  readonly #clock: Clock;

  constructor(clock: Clock, script: readonly Outcome[] = []) {
    this.#clock = clock;
    this.#script = [...script];
  }

  /** What the next dials come to. */
  then(...outcomes: readonly Outcome[]): void {
    this.#script.push(...outcomes);
  }

  get last(): ScriptedTransport {
    const last = this.transports.at(-1);
    if (last === undefined) throw new Error('Nothing is up yet');
    return last;
  }

  readonly dial: Dial = async (request) => {
    this.requests.push(request);
    this.atMs.push(this.#clock.nowMs());
    this.open += 1;
    try {
      return await this.#play(request, this.#script.shift() ?? 'up');
    } finally {
      this.open -= 1;
    }
  };

  async #play(request: DialRequest, outcome: Outcome): Promise<Transport> {
    if (outcome === 'hang') {
      await new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason as Error), { once: true });
      });
    }
    if (outcome instanceof TunnelError) throw outcome;
    if (outcome instanceof Promise) await outcome;
    request.onPhase('authenticating');
    const transport = new ScriptedTransport(this.#clock, 40_000 + 100 * this.transports.length);
    this.transports.push(transport);
    transport.refusals.push(...this.nextRefusals);
    this.nextRefusals = [];
    return Promise.resolve(transport);
  }
}

export interface PendingOpen {
  readonly target: Endpoint;
  readonly grant: () => ScriptedChannel;
  readonly fail: (error: TunnelError) => void;
}

/** One connection in memory: it answers pings until it is silenced, and lets a test grant or fail each open. */
export class ScriptedTransport implements Transport {
  readonly facts = {
    serverVersion: 'x',
    kex: 'x',
    hostKey: 'x',
    cipher: 'x',
    mac: 'x',
    compression: 'none',
    notes: [],
    warnings: [],
  };
  receivedBytes = 1;
  pings = 0;
  /** Whether what we send is answered. */
  silent = false;
  /** Opens wait here for the test while true; otherwise they are granted at once. */
  holdOpens = false;
  readonly pendingOpens: PendingOpen[] = [];
  readonly channels: ScriptedChannel[] = [];
  readonly listening = new Map<string, OnIncoming>();
  /** Errors that the next requests to listen meet. */
  readonly refusals: TunnelError[] = [];
  readonly cancelled: Endpoint[] = [];
  /** Requests to listen wait for this. */
  beforeListen: Promise<void> = Promise.resolve();
  ended: TunnelError | null = null;
  readonly #clock: Clock;
  /** What a request for port 0 gets next. */
  #nextPort: number;
  #onClosed: ((reason: TunnelError) => void)[] = [];

  constructor(clock: Clock, firstPort: number) {
    this.#clock = clock;
    this.#nextPort = firstPort;
  }

  openDirect(target: Endpoint, _originator: unknown, signal: AbortSignal): Promise<Channel> {
    if (this.ended !== null) return Promise.reject(LOST);
    return new Promise((resolve, reject) => {
      const grant = (): ScriptedChannel => {
        const channel = new ScriptedChannel();
        this.channels.push(channel);
        resolve(channel);
        return channel;
      };
      if (!this.holdOpens) return void grant();
      this.pendingOpens.push({ target, grant, fail: reject });
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }

  async requestForward(bind: Endpoint, onChannel: OnIncoming): Promise<Endpoint> {
    await this.beforeListen;
    if (this.ended !== null) throw LOST;
    const refusal = this.refusals.shift();
    if (refusal !== undefined) throw refusal;
    const bound: Endpoint = bind.kind === 'tcp' && bind.port === 0 ? { ...bind, port: this.#nextPort++ } : bind;
    this.listening.set(JSON.stringify(bound), onChannel);
    return bound;
  }

  cancelForward(bind: Endpoint): Promise<void> {
    if (this.ended !== null) return Promise.reject(LOST);
    this.cancelled.push(bind);
    this.listening.delete(JSON.stringify(bind));
    return Promise.resolve();
  }

  ping(): Promise<number> {
    this.pings += 1;
    if (this.silent || this.ended !== null) return new Promise(() => undefined);
    this.receivedBytes += 64;
    return Promise.resolve(7);
  }

  close(): void {
    this.#clock.after(0, () => this.#end(new TunnelError('STOPPED', 'Cannot go on: closed')));
  }

  destroy(reason: TunnelError): void {
    this.#end(reason);
  }

  /** The network ends it. */
  lose(reason: TunnelError = LOST): void {
    this.#end(reason);
  }

  onClosed(callback: (reason: TunnelError) => void): void {
    if (this.ended !== null) callback(this.ended);
    else this.#onClosed.push(callback);
  }

  #end(reason: TunnelError): void {
    if (this.ended !== null) return;
    this.ended = reason;
    for (const { fail } of this.pendingOpens.splice(0)) fail(LOST);
    for (const channel of this.channels) channel.finish(LOST);
    for (const callback of this.#onClosed.splice(0)) callback(reason);
  }
}

export class ScriptedChannel implements Channel {
  readonly written: Buffer[] = [];
  sink: ChannelSink | null = null;
  #done = false;

  attach(sink: ChannelSink): void {
    this.sink = sink;
  }
  write(chunk: Buffer): boolean {
    this.written.push(chunk);
    return true;
  }
  ready(): boolean {
    return true;
  }
  end(): void {
    return undefined;
  }
  abort(): void {
    this.finish();
  }
  pause(): void {
    return undefined;
  }
  resume(): void {
    return undefined;
  }

  /** The channel closes. */
  finish(error?: TunnelError): void {
    if (this.#done) return;
    this.#done = true;
    this.sink?.closed(error);
  }
}
