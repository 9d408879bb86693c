import { connect } from 'node:net';

/** How one client fared: `served` got its words back, `refused` found nobody listening, `cut` lost its connection. */
type Fate = 'served' | 'refused' | 'cut';

/** Clients of an echo service that come one after the other, some at a time, until stopped; it counts how they fared. */
export class Knocker {
  readonly fates: Record<Fate, number> = { served: 0, refused: 0, cut: 0 };
  readonly #where: { readonly port: number } | { readonly path: string };
  readonly #loops: readonly Promise<void>[];
  #stopped = false;

  constructor(where: { readonly port: number } | { readonly path: string }, atOnce = 3) {
    this.#where = where;
    this.#loops = Array.from({ length: atOnce }, () => this.#loop());
  }

  /** Resolves when the last client is done. */
  async stop(): Promise<Record<Fate, number>> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    return this.fates;
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) this.fates[await this.#knock()] += 1;
  }

  #knock(): Promise<Fate> {
    return new Promise((resolve) => {
      const said = 'knock knock';
      let back = '';
      let refused = false;
      const where = 'port' in this.#where ? { ...this.#where, host: '127.0.0.1' } : this.#where;
      const socket = connect({ ...where, allowHalfOpen: true });
      socket.setEncoding('utf8').on('data', (part: string) => (back += part));
      socket.once('connect', () => socket.end(said));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => {
        refused = code === 'ECONNREFUSED' || code === 'ENOENT';
      });
      socket.once('close', () => resolve(back === said ? 'served' : refused ? 'refused' : 'cut'));
    });
  }
}
