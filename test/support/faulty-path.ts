import { once } from 'node:events';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { resetOrDestroy } from '../../src/forward/splice/reset.ts';
import { PathLane, type PathRules } from './path-lane.ts';
import { freePort } from './sshd.ts';

/** A connection through the path: towards its client, towards its server. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  readonly lanes: PathLane[];
  passedBytes: number;
  /** Bytes of it were lost, or the network has forgotten it: nothing gets through any more. */
  forgotten: boolean;
  idle: NodeJS.Timeout | undefined;
}

const CLEAR: PathRules = { flow: 'pass', bytesPerSecond: Infinity, delayMs: 0, jitterMs: 0, sliceBytes: Infinity };

/**
 * A stretch of network between a client and a server on this machine, with faults on demand. Each word is a thing that
 * networks do: `stall` holds bytes back both ways and keeps the connection, `drop` loses them without a word, `idleKill` forgets who
 * was silent, `reset` cuts what is open with RST, `refuse` closes the door, `delay`, `throttle` and `slice` are bad lines,
 * `cutAfter` ends each connection in the middle, `heal` makes all well again. What `drop` and `idleKill` did to a connection
 * stays: its next byte is answered with RST, as by a NAT that came back without its table.
 */
export class FaultyPath {
  /** When connections came in, by `performance.now()`. */
  readonly joinedAtMs: number[] = [];
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  readonly #rules: PathRules = { ...CLEAR };
  #idleMs = Infinity;
  #cutBytes = Infinity;
  readonly #port: number;

  constructor(port: number, targetPort: number) {
    this.#port = port;
    this.#target = targetPort;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (near) =>
      this.#join(near),
    );
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that are open through the path now. */
  get open(): number {
    return this.#pairs.size;
  }

  async listen(): Promise<this> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  /** Bytes stop both ways; nobody is told. New connections are accepted and carry nothing. */
  stall(): void {
    this.#set({ flow: 'hold' });
  }

  /** Bytes are lost both ways; nobody is told. New connections are accepted and carry nothing. */
  drop(): void {
    this.#set({ flow: 'lose' });
  }

  /** Cuts everything that is open with RST; new connections pass. */
  reset(): void {
    for (const pair of this.#pairs) cut(pair);
  }

  /** Takes no more connections; those that are open stay. */
  shut(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Cuts everything and takes no more connections. */
  async refuse(): Promise<void> {
    this.reset();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Takes connections again after `refuse` or `shut`; other faults stay. */
  async admit(): Promise<void> {
    if (!this.#server.listening) await this.listen();
  }

  /** At most so many bytes a second each way, for each connection. */
  throttle(bytesPerSecond: number): void {
    this.#set({ bytesPerSecond });
  }

  /** Every byte takes so long, each way; up to `jitterMs` more or less. */
  delay(delayMs: number, jitterMs = 0): void {
    this.#set({ delayMs, jitterMs });
  }

  /** Bytes arrive in pieces of at most so many. */
  slice(sliceBytes: number): void {
    this.#set({ sliceBytes });
  }

  /** A connection without a byte either way for so long is forgotten, without a word. */
  idleKill(idleMs: number): void {
    this.#idleMs = idleMs;
    for (const pair of this.#pairs) this.#watchIdle(pair);
  }

  /** Cuts each connection with RST once so many bytes more, of both directions, have passed. */
  cutAfter(bytes: number): void {
    this.#cutBytes = bytes;
    for (const pair of this.#pairs) pair.passedBytes = 0;
  }

  async heal(): Promise<void> {
    this.#idleMs = Infinity;
    this.#cutBytes = Infinity;
    for (const pair of this.#pairs) clearTimeout(pair.idle);
    this.#set(CLEAR);
    await this.admit();
  }

  async close(): Promise<void> {
    this.reset();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #set(rules: Partial<PathRules>): void {
    Object.assign(this.#rules, rules);
    for (const { lanes } of this.#pairs) for (const lane of lanes) lane.wake();
  }

  #join(near: Socket): void {
    this.joinedAtMs.push(performance.now());
    const far = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const pair: Pair = { near, far, lanes: [], passedBytes: 0, forgotten: false, idle: undefined };
    this.#pairs.add(pair);
    const admit = (bytes: number): boolean => this.#admits(pair, bytes);
    pair.lanes.push(new PathLane(near, far, this.#rules, admit), new PathLane(far, near, this.#rules, admit));
    for (const socket of [near, far]) {
      socket.on('error', () => cut(pair));
      socket.on('close', () => {
        this.#pairs.delete(pair);
        clearTimeout(pair.idle);
        near.destroy();
        far.destroy();
      });
    }
    this.#watchIdle(pair);
    for (const lane of pair.lanes) lane.wake();
  }

  #admits(pair: Pair, bytes: number): boolean {
    if (this.#rules.flow === 'lose') pair.forgotten = true;
    else if (pair.forgotten && this.#idleMs === Infinity) cut(pair);
    pair.passedBytes += bytes;
    if (pair.passedBytes > this.#cutBytes) cut(pair);
    if (!pair.forgotten) this.#watchIdle(pair);
    return !pair.forgotten;
  }

  #watchIdle(pair: Pair): void {
    clearTimeout(pair.idle);
    if (this.#idleMs === Infinity) return;
    const { passedBytes } = pair;
    // This process may have stood still, and a byte that came in time may wait to be read.
    const forget = (): void => {
      if (pair.passedBytes === passedBytes && this.#idleMs < Infinity) pair.forgotten = true;
    };
    pair.idle = setTimeout(() => setImmediate(forget), this.#idleMs);
  }
}

function cut({ near, far }: Pair): void {
  resetOrDestroy(near);
  resetOrDestroy(far);
}

export async function faultyPath(targetPort: number): Promise<FaultyPath> {
  return new FaultyPath(await freePort(), targetPort).listen();
}
