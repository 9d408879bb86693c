import { connect, type Socket } from 'node:net';
import { TunnelError, asTunnelError } from '../model/failure.ts';
import { FrameDecoder, encodeFrame, type Frame, type Refusal } from './codec.ts';
import { PROTOCOL_VERSION, type Method, type Methods, type Notification, type Notifications } from './messages.ts';
import { checkSocketOwner } from './peer.ts';

type Hello = Methods['hello']['result'];

/** A line to the supervisor. Owned by whoever connected; it keeps the process alive until closed. */
export interface ControlClient {
  /** Who answered. Undefined only after `connectControl` with `anyProtocol`, when it speaks another one. */
  readonly supervisor: Hello | undefined;
  /**
   * Asks and waits for the answer. Rejects with the supervisor's own TunnelError, with the signal's reason, and with
   * SUPERVISOR_UNREACHABLE when the line breaks or no answer comes within 30 s (and the drain, where there is one).
   */
  call<M extends Method>(method: M, params: Methods[M]['params'], signal?: AbortSignal): Promise<Methods[M]['result']>;
  /** Calls back for each notification from now on. @returns how to stop that */
  on<N extends Notification>(name: N, listener: (params: Notifications[N]) => void): () => void;
  /** Resolves once the line is gone: with why, or undefined after `close`. */
  readonly closed: Promise<TunnelError | undefined>;
  /** Hangs up; calls that wait reject. Safe to call twice. */
  close(): void;
}

/** For connect and hello together: both are one turn of a healthy event loop. */
const GREETING_WITHIN_MS = 5_000;
/** A supervisor may run `ssh -G` for each of many profiles before it answers. */
const ANSWER_WITHIN_MS = 30_000;

export interface ConnectOptions {
  /** A supervisor of another protocol is no error: `stop` may still be called. */
  readonly anyProtocol?: boolean;
  readonly withinMs?: number;
}

/**
 * Connects to the supervisor and says hello.
 * @throws TunnelError SUPERVISOR_UNREACHABLE when nobody answers there, or somebody who is not us;
 *   PROTOCOL when it speaks another protocol
 */
export async function connectControl(
  socketPath: string,
  version: string,
  { anyProtocol = false, withinMs = GREETING_WITHIN_MS }: ConnectOptions = {},
): Promise<ControlClient> {
  const deadline = AbortSignal.timeout(withinMs);
  checkSocketOwner(socketPath);
  const client = new LineClient(await open(socketPath, deadline), socketPath);
  try {
    client.supervisor = await client.call('hello', { protocol: PROTOCOL_VERSION, version }, deadline);
  } catch (error) {
    const failure = deadline.aborted ? unreachable(socketPath, 'it does not answer', error) : asTunnelError(error);
    if (failure.code !== 'PROTOCOL' || !anyProtocol) {
      client.close();
      throw failure;
    }
  }
  return client;
}

function open(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const failed = (error: NodeJS.ErrnoException): void => {
      signal.removeEventListener('abort', late);
      reject(
        unreachable(path, error.code === 'ECONNREFUSED' ? 'nobody listens' : (error.code ?? error.message), error),
      );
    };
    const late = (): void => void socket.destroy(new Error('it does not accept')); // comes back as `failed`
    signal.addEventListener('abort', late);
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      signal.removeEventListener('abort', late);
      resolve(socket);
    });
  });
}

function unreachable(path: string, why: string, cause?: unknown): TunnelError {
  return new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot reach the supervisor at ${path}: ${why}`, { cause });
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class LineClient implements ControlClient {
  /** Written once, by `connectControl`. */
  supervisor: Hello | undefined;
  readonly closed: Promise<TunnelError | undefined>;
  readonly #socket: Socket;
  readonly #path: string;
  readonly #decoder = new FrameDecoder();
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<string, Set<(params: never) => void>>();
  readonly #unread: (Frame | Refusal)[] = [];
  #draining = false;
  #lastId = 0;
  #endedBy: TunnelError | undefined;
  #hungUp = false;

  constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => (this.#endedBy ??= unreachable(path, 'the line broke', error)));
    this.closed = new Promise((resolve) => socket.once('close', () => resolve(this.#release())));
  }

  async call<M extends Method>(
    method: M,
    params: Methods[M]['params'],
    signal?: AbortSignal,
  ): Promise<Methods[M]['result']> {
    signal?.throwIfAborted();
    if (this.#socket.destroyed) throw this.#lost(method, 'the line is closed');
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const patience = setTimeout(() => this.#giveUp(id, this.#lost(method, 'it does not answer')), patienceMs(params));
    const aborted = (): void => this.#giveUp(id, signal?.reason);
    signal?.addEventListener('abort', aborted);
    try {
      this.#socket.write(encodeFrame({ kind: 'request', id, method, params }));
      // The edge of the parser: the socket's owner is us, and the protocol's version was agreed on.
      return (await answer) as Methods[M]['result'];
    } catch (error) {
      throw error === LINE_LOST ? this.#lost(method, 'it ended before it answered') : error;
    } finally {
      clearTimeout(patience);
      signal?.removeEventListener('abort', aborted);
      this.#waiting.delete(id);
    }
  }

  on<N extends Notification>(name: N, listener: (params: Notifications[N]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  close(): void {
    this.#hungUp = true;
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#unread.push(...this.#decoder.push(chunk));
    if (!this.#draining) this.#drain();
  }

  /** In order; what follows an answer waits until whoever asked has seen it, so that no event overtakes its snapshot. */
  #drain(): void {
    this.#draining = false;
    for (let item = this.#unread.shift(); item !== undefined; item = this.#unread.shift()) {
      this.#take(item);
      if (item.kind !== 'result') continue;
      this.#draining = true;
      setImmediate(() => this.#drain());
      return;
    }
  }

  #take(item: Frame | Refusal): void {
    switch (item.kind) {
      case 'result':
        return this.#waiting.get(item.id)?.resolve(item.result);
      case 'error': {
        const error = TunnelError.fromFacts(item.error);
        if (item.id === null) this.#endedBy ??= error;
        else this.#waiting.get(item.id)?.reject(error);
        return;
      }
      case 'notification':
        for (const listener of this.#listeners.get(item.method) ?? []) listener(item.params as never);
        return;
      case 'refused':
        this.#endedBy ??= unreachable(this.#path, 'what it says is not our protocol');
        this.#socket.destroy();
        return;
      case 'request':
        return; // the supervisor asks nothing this way
    }
  }

  #giveUp(id: number, reason: unknown): void {
    this.#waiting.get(id)?.reject(reason);
  }

  #release(): TunnelError | undefined {
    for (const item of this.#unread.splice(0)) this.#take(item); // answers that came just before the end
    for (const waiting of this.#waiting.values()) waiting.reject(LINE_LOST);
    return this.#hungUp ? undefined : (this.#endedBy ?? unreachable(this.#path, 'it ended'));
  }

  #lost(method: Method, why: string): TunnelError {
    const detail = this.#endedBy === undefined ? why : this.#endedBy.message;
    return new TunnelError('SUPERVISOR_UNREACHABLE', `Cannot ask the supervisor for ${method}: ${detail}`, {
      cause: this.#endedBy,
    });
  }
}

/** Stands for "the socket closed" until the call that waits can say what it was waiting for. */
const LINE_LOST = new Error('line lost');

function patienceMs(params: object): number {
  const drainMs = 'drainMs' in params && typeof params.drainMs === 'number' ? params.drainMs : 0;
  return Math.min(ANSWER_WITHIN_MS + drainMs, 2 ** 31 - 1); // setTimeout knows no more
}
