import type { Secret } from '../model/secret.ts';
import type { PrivateKey } from './private-key.ts';

/**
 * What a person has unlocked, kept in memory for as long as the process lives, so that a reconnect asks nobody.
 * One for a whole supervisor. Of one-time codes only the window of the last one is kept.
 */
export class KeyRing {
  readonly #keys = new Map<string, PrivateKey>();
  readonly #passwords = new Map<string, Secret>();
  readonly #usedCodes = new Map<string, number>();
  readonly #turns = new Map<string, Promise<unknown>>();

  /** @param id names the file and its state, so that a changed file is read anew */
  key(id: string): PrivateKey | undefined {
    return this.#keys.get(id);
  }

  keepKey(id: string, key: PrivateKey): void {
    this.#keys.set(id, key);
  }

  /** A password that has logged in. @param subject `user@host:port` */
  password(subject: string): Secret | undefined {
    return this.#passwords.get(subject);
  }

  keepPassword(subject: string, password: Secret): void {
    this.#passwords.set(subject, password);
  }

  forgetPassword(subject: string): void {
    this.#passwords.delete(subject);
  }

  /** The window of the one-time code used last; -1 where none was. */
  last(subject: string): Promise<number> {
    return Promise.resolve(this.#usedCodes.get(subject) ?? -1);
  }

  use(subject: string, step: number): Promise<void> {
    this.#usedCodes.set(subject, step);
    return Promise.resolve();
  }

  /** Runs `work` after every earlier one of the same name: two connections that need one key ask one question. */
  async inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#turns.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(name) === mine) this.#turns.delete(name);
    }
  }
}
