import type { Clock } from '../../model/clock.ts';
import { formatEndpoint, type Endpoint } from '../../model/endpoint.ts';
import { asTunnelError, type TunnelError } from '../../model/failure.ts';
import type { OnNote } from '../clients/burst.ts';

/** What was bound: a listener of connections or of datagrams. */
interface Bound {
  readonly bound: Endpoint;
  close(): void;
}

export interface BindingParts<L extends Bound> {
  /** Rejects while nobody could be served, were it bound; asked before each attempt. */
  readonly ready?: () => Promise<void>;
  /** One attempt. @param nameHolder whether to look for the holder of a busy port. Rejects with a TunnelError. */
  readonly bind: (nameHolder: boolean) => Promise<L>;
  readonly clock: Clock;
  /** It listens now, for the first time or again. */
  readonly onBound: (listener: L) => void;
  readonly onNote: OnNote;
  readonly onChange: () => void;
}

/** The contract's pace for a port that could not be bound; binding costs the server nothing. */
const REBIND_MS = 2_000;
/** What is no port's trouble (a keychain that is locked) changes by a person's hand. */
const READY_AGAIN_MS = 10_000;
/** Looking for the holder reads the files of all processes: done at first, then once in so many tries. */
const NAME_HOLDER_EVERY = 15;

/** A listener of this machine that is wanted: bound, or tried again until it is, and let go once. */
export class Binding<L extends Bound> {
  readonly #parts: BindingParts<L>;
  #listener: L | undefined;
  #error: TunnelError | null = null;
  #tries = 0;
  #cancelRebind: () => void = () => undefined;
  #closing = false;
  #attempt: Promise<void> = Promise.resolve();

  constructor(parts: BindingParts<L>) {
    this.#parts = parts;
  }

  /** undefined while it is not bound. */
  get listener(): L | undefined {
    return this.#listener;
  }

  /** Why it is not bound; null while it is. */
  get error(): TunnelError | null {
    return this.#error;
  }

  /** Resolves once the first attempt is made, in either case. Never rejects. Call once. */
  start(): Promise<void> {
    this.#attempt = this.#try();
    return this.#attempt;
  }

  /** Frees the address at once. Resolves when an attempt that was under way has let go of it too. Safe to call twice. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelRebind();
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.close();
    if (listener !== undefined) this.#parts.onChange();
    await this.#attempt;
  }

  async #try(): Promise<void> {
    try {
      await this.#parts.ready?.();
      if (this.#closing) return;
      const listener = await this.#parts.bind(this.#tries++ % NAME_HOLDER_EVERY === 0);
      if (this.#closing) return listener.close();
      this.#listens(listener);
    } catch (thrown) {
      if (!this.#closing) this.#failed(asTunnelError(thrown));
    }
  }

  #listens(listener: L): void {
    const { onBound, onNote, onChange } = this.#parts;
    const late = this.#error !== null;
    this.#listener = listener;
    this.#error = null;
    if (late) onNote('info', `Listening at ${formatEndpoint(listener.bound)} now`);
    onBound(listener);
    onChange();
  }

  #failed(error: TunnelError): void {
    const { clock, onNote, onChange } = this.#parts;
    const known = this.#error?.code === error.code && (this.#tries - 1) % NAME_HOLDER_EVERY !== 0;
    if (!known && this.#error?.message !== error.message) {
      this.#error = error;
      onNote('error', error.message, error.code);
      onChange();
    }
    this.#cancelRebind = clock.after(error.code.startsWith('BIND_') ? REBIND_MS : READY_AGAIN_MS, () => {
      this.#attempt = this.#try();
    });
  }
}
