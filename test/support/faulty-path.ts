import { createServer, connect, type Server, type Socket } from 'node:net';

type Mode = 'pass' | 'stall' | 'drop' | 'refuse';

/**
 * A stretch of network between a client and a server on this machine, with faults on demand. Each word is a thing that
 * networks do: `stall` holds bytes back both ways and keeps the connection, `drop` lets new connections hang too, `reset` cuts what is
 * open with RST, `refuse` closes the door, `heal` makes all well again.
 */
export class FaultyPath {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #mode: Mode = 'pass';
  #bytesPerSecond = Infinity;
  #delayMs = 0;
  #port = 0;

  constructor(targetPort: number) {
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
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
    return this;
  }

  /** Bytes stop both ways; nobody is told. New connections are accepted and carry nothing. */
  stall(): void {
    this.#mode = 'stall';
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Cuts everything that is open with RST; new connections pass. */
  reset(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Cuts everything and takes no more connections. */
  async refuse(): Promise<void> {
    this.#mode = 'refuse';
    this.reset();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  /** At most so many bytes a second each way, for each connection. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Every byte takes so long, each way. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  async heal(): Promise<void> {
    this.#mode = 'pass';
    this.#bytesPerSecond = Infinity;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
    if (!this.#server.listening) await this.listen();
  }

  async close(): Promise<void> {
    this.reset();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #join(near: Socket): void {
    const far = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    this.#pump(near, far);
    this.#pump(far, near);
    for (const socket of pair) {
      socket.on('error', () => pair.forEach((end) => end.resetAndDestroy()));
      socket.on('close', () => {
        this.#pairs.delete(pair);
        pair.forEach((end) => end.destroy());
      });
    }
    if (this.#mode === 'stall') far.pause();
    else near.resume();
  }

  #pump(from: Socket, to: Socket): void {
    from.on('data', (chunk) => {
      const costMs = (chunk.length / this.#bytesPerSecond) * 1_000;
      const send = (): void => {
        if (!to.destroyed && !to.write(chunk)) {
          from.pause();
          to.once('drain', () => this.#flow(from));
        }
      };
      if (costMs === 0 && this.#delayMs === 0) return send();
      if (costMs > 0) {
        from.pause();
        setTimeout(() => this.#flow(from), costMs);
      }
      setTimeout(send, this.#delayMs + costMs);
    });
    from.on('end', () => setTimeout(() => to.end(), this.#delayMs));
  }

  #flow(socket: Socket): void {
    if (this.#mode !== 'stall') socket.resume();
  }
}

export async function faultyPath(targetPort: number): Promise<FaultyPath> {
  return new FaultyPath(targetPort).listen();
}
