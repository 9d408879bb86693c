import type { Socket } from 'node:net';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import { FrameDecoder, encodeFrame, type Frame, type Refusal } from './codec.ts';
import { PROTOCOL_VERSION, type Method, type Methods, type Notification, type Notifications } from './messages.ts';
import { isMethod, readParams } from './params.ts';

/** The connection that a request came on, as its handler sees it. */
export interface Peer {
  /** Sends a notification. While a `subscribe` is in work they wait for its answer, so that none overtakes the snapshot. */
  notify<N extends Notification>(name: N, params: Notifications[N]): void;
  /** Aborts when the connection ends, whoever ended it: the place to give back what was taken for this person. */
  readonly signal: AbortSignal;
}

/** One function a method; a TunnelError that it throws reaches the client with its code. `hello` is the server's own. */
export type ControlHandlers = {
  readonly [M in Exclude<Method, 'hello'>]: (
    params: Methods[M]['params'],
    peer: Peer,
  ) => Methods[M]['result'] | Promise<Methods[M]['result']>;
};

export interface ConnectionOptions {
  readonly identity: Omit<Methods['hello']['result'], 'protocol'>;
  readonly handlers: ControlHandlers;
  /** A handler failed in a way that is our fault: for the log. The client is answered INTERNAL. */
  readonly onFault: (error: TunnelError) => void;
  /** Bytes that may wait for a client that does not read; beyond them it is dropped. */
  readonly maxQueuedBytes: number;
  /** How long a connection may take to say hello. */
  readonly helloWithinMs: number;
}

/** Requests of one client in work at once; more of them wait in its socket. */
const MAX_IN_WORK = 32;
const GOODBYE_MS = 1_000;

/** Serves one client until it or we hang up. Owns the socket. */
export class ControlConnection implements Peer {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #decoder = new FrameDecoder();
  readonly #ended = new AbortController();
  /** What ends the connection if the client lets it pass: first the hello, at the end the goodbye. */
  #deadline: NodeJS.Timeout;
  /** `other`: greeted, of another protocol, so only `stop` is understood. */
  #greeted: 'no' | 'yes' | 'other' = 'no';
  #inWork = 0;
  /** What was read and waits for its turn. */
  readonly #unread: (Frame | Refusal)[] = [];
  #closing = false;
  #subscribing = 0;
  /** Notifications that wait until `subscribing` is 0 again. */
  #heldBack: Frame[] = [];

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#deadline = setTimeout(() => this.#refuse(null, 'no hello came in time'), options.helloWithinMs);
    // Each of these may be the first news of the end; `close` always follows, and is where we let go.
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('end', () => socket.destroy()); // a client that has stopped listening to us needs no answers
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#release());
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  notify<N extends Notification>(name: N, params: Notifications[N]): void {
    const frame: Frame = { kind: 'notification', method: name, params };
    if (this.#subscribing > 0) this.#heldBack.push(frame);
    else this.#send(frame);
  }

  /** Serves nothing more, lets what is queued go out, for a second at most, then hangs up. Safe to call twice. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#socket.destroy(), GOODBYE_MS);
    this.#socket.end();
    this.#socket.resume(); // the client's own end is seen only by reading
  }

  /** Resolves once the socket is closed. */
  get closed(): Promise<void> {
    if (this.#socket.closed) return Promise.resolve();
    return new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  #release(): void {
    clearTimeout(this.#deadline);
    this.#ended.abort(new TunnelError('STOPPED', 'The client hung up'));
  }

  #read(chunk: Buffer): void {
    this.#unread.push(...this.#decoder.push(chunk));
    this.#takeUnread();
  }

  #takeUnread(): void {
    while (this.#inWork < MAX_IN_WORK && !this.#closing) {
      const item = this.#unread.shift();
      if (item === undefined) break;
      if (item.kind === 'refused') this.#refuse(item.id, WHY_REFUSED[item.reason]);
      else if (item.kind === 'request') this.#request(item.id, item.method, item.params);
      // A client has nothing to notify and nothing to answer: what else it sends means nothing.
    }
    if (this.#unread.length > 0 && !this.#closing) this.#socket.pause();
    else this.#socket.resume();
  }

  #request(id: number, method: string, params: unknown): void {
    if (!isMethod(method))
      return this.#fail(id, new TunnelError('PROTOCOL', `Cannot serve ${method}: no such request`));
    if (method === 'hello') return this.#hello(id, params);
    if (this.#greeted === 'no') return this.#refuse(id, 'the first request must be hello');
    if (this.#greeted === 'other' && method !== 'stop') return this.#fail(id, this.#otherProtocol());
    this.#inWork += 1;
    this.#serve(id, method, params);
  }

  #hello(id: number, params: unknown): void {
    try {
      const { protocol } = readParams('hello', params);
      this.#greeted = protocol === PROTOCOL_VERSION ? 'yes' : 'other';
    } catch (error) {
      return this.#fail(id, asTunnelError(error));
    }
    clearTimeout(this.#deadline);
    if (this.#greeted === 'other') return this.#fail(id, this.#otherProtocol());
    this.#send({ kind: 'result', id, result: { protocol: PROTOCOL_VERSION, ...this.#options.identity } });
  }

  #serve(id: number, method: Exclude<Method, 'hello'>, params: unknown): void {
    if (method === 'subscribe') this.#subscribing += 1;
    const answer = (frame: Frame): void => this.#answer(method, frame);
    const fail = (error: unknown): void => answer(this.#errorFrame(id, error));
    try {
      const result = this.#call(method, params);
      if (result instanceof Promise) result.then((value) => answer({ kind: 'result', id, result: value }), fail);
      else answer({ kind: 'result', id, result });
    } catch (error) {
      fail(error);
    }
  }

  #call<M extends Exclude<Method, 'hello'>>(method: M, params: unknown): unknown {
    return this.#options.handlers[method](readParams(method, params), this);
  }

  #answer(method: Method, frame: Frame): void {
    this.#send(frame);
    if (method === 'subscribe') this.#subscribing -= 1;
    if (this.#subscribing === 0) for (const held of this.#heldBack.splice(0)) this.#send(held);
    this.#inWork -= 1;
    if (this.#unread.length > 0) setImmediate(() => this.#takeUnread()); // not from within: answers may come at once
  }

  #errorFrame(id: number, thrown: unknown): Frame {
    const error = asTunnelError(thrown);
    if (error.code === 'INTERNAL') this.#options.onFault(error);
    return { kind: 'error', id, error: error.facts };
  }

  #fail(id: number | null, error: TunnelError): void {
    this.#send({ kind: 'error', id, error: error.facts });
  }

  #refuse(id: number | null, why: string): void {
    this.#fail(id, new TunnelError('PROTOCOL', `Cannot serve this connection: ${why}`));
    this.close();
  }

  #otherProtocol(): TunnelError {
    const { version } = this.#options.identity;
    return new TunnelError(
      'PROTOCOL',
      `Cannot talk to the supervisor: it is of version ${version} and speaks protocol ${PROTOCOL_VERSION}, ` +
        'which this command does not',
    );
  }

  #send(frame: Frame): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(this.#encoded(frame));
    if (this.#socket.writableLength > this.#options.maxQueuedBytes) this.#socket.destroy();
  }

  #encoded(frame: Frame): Buffer {
    try {
      return encodeFrame(frame);
    } catch (thrown) {
      const error = asTunnelError(thrown);
      this.#options.onFault(error);
      return encodeFrame({ kind: 'error', id: 'id' in frame ? frame.id : null, error: error.facts });
    }
  }
}

const WHY_REFUSED: Readonly<Record<Refusal['reason'], string>> = {
  'too-long': 'a message was longer than 1 MiB',
  'not-utf8': 'a message was not UTF-8',
  'not-json': 'a message was not JSON',
  'not-a-frame': 'a message was not JSON-RPC 2.0',
};
