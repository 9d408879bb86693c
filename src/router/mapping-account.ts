import type { TunnelError } from '../model/failure.ts';
import type { MappingFacts, MappingListener, MapRequest } from '../model/mapping.ts';
import { doubleNat } from './double-nat.ts';
import { grantNotes } from './mapping-notes.ts';

/** A mapping as a router granted it. */
export interface Told extends Pick<MappingFacts, 'way' | 'expiresAtMs'> {
  readonly router: string;
  readonly external: NonNullable<MappingFacts['external']>;
}

/** What is known of one mapping, and who is told what is new of it. */
export class MappingAccount {
  readonly #request: MapRequest;
  readonly #listener: MappingListener;
  #facts: MappingFacts = { state: 'asking', way: null, router: null, external: null, expiresAtMs: null, error: null };
  #quiet = false;

  constructor(request: MapRequest, listener: MappingListener) {
    this.#request = request;
    this.#listener = listener;
  }

  get facts(): MappingFacts {
    return this.#facts;
  }

  /** Whom it asks now. */
  asks(router: string): void {
    this.#set({ router });
  }

  /** Says what is new about it, and nothing where it was renewed as it was. @param leaseMs null: until it is removed */
  mapped(told: Told, leaseMs: number | null): void {
    const before = this.#facts;
    const error = doubleNat(told.external.host, told.router);
    const kept = before.error !== null && before.error.message === error?.message; // the same as before keeps its time
    this.#set({ ...told, state: error === null ? 'mapped' : 'double-nat', error: kept ? before.error : error });
    for (const note of grantNotes(this.#request, before, this.#facts, leaseMs)) this.note(...note);
  }

  /** The router has it no more, or is another one: it is asked for anew. */
  forgotten(): void {
    this.#set({ state: 'asking', way: null, external: null, expiresAtMs: null, error: null });
  }

  /** The same failure again is no news. */
  failed(error: TunnelError): void {
    const known = this.#facts.error?.message === error.message;
    const told = known ? this.#facts.error : error;
    this.#set({ state: 'failed', way: null, external: null, expiresAtMs: null, error: told });
    if (!known) this.note('warn', error.message, error.code);
  }

  note(...note: Parameters<MappingListener['onNote']>): void {
    this.#listener.onNote(...note);
  }

  /** From now on its facts are nobody's business; what was left behind is still told. */
  close(): void {
    this.#quiet = true;
  }

  #set(changed: Partial<MappingFacts>): void {
    this.#facts = { ...this.#facts, ...changed };
    if (!this.#quiet) this.#listener.onChange();
  }
}
