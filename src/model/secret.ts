import { inspect } from 'node:util';

/**
 * A password, passphrase or code on its way from a person or a store to a login. It prints as `[secret]` wherever a
 * value prints itself: templates, JSON, console and inspect. Best effort: JavaScript strings cannot be wiped.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself: call it only where it is handed on, and never keep the result. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
