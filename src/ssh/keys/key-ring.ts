import { createPrivateKey } from 'node:crypto';
import { NOTHING_UNLOCKED, type Unlocked } from '../../model/handover.ts';
import { Secret } from '../../model/secret.ts';
import { asPrivateKey, type PrivateKey } from './private-key.ts';

/**
 * What a person has unlocked, kept in memory for as long as the process lives, so that a reconnect asks nobody.
 * One for a whole supervisor. Of one-time codes only the window of the last one is kept.
 */
export class KeyRing {
  readonly #keys = new Map<string, PrivateKey>();
  readonly #passwords = new Map<string, Secret>();
  readonly #usedCodes = new Map<string, number>();
  readonly #turns = new Map<string, Promise<unknown>>();

  /** @param before what a supervisor that has left had in its own; a key that cannot be read is asked for again */
  constructor(before: Unlocked = NOTHING_UNLOCKED) {
    for (const [subject, password] of Object.entries(before.passwords)) {
      this.#passwords.set(subject, new Secret(password));
    }
    for (const [id, pkcs8] of Object.entries(before.keys)) {
      const key = importedKey(pkcs8);
      if (key !== undefined) this.#keys.set(id, key);
    }
  }

  /** All of it in the open, for the one process that takes our place. */
  get unlocked(): Unlocked {
    return {
      passwords: Object.fromEntries([...this.#passwords].map(([subject, password]) => [subject, password.reveal()])),
      keys: Object.fromEntries([...this.#keys].map(([id, key]) => [id, key.export()])),
    };
  }

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

  use(subject: string, step: number): Promise<boolean> {
    const free = step > (this.#usedCodes.get(subject) ?? -1);
    if (free) this.#usedCodes.set(subject, step);
    return Promise.resolve(free);
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

function importedKey(pkcs8: string): PrivateKey | undefined {
  try {
    return asPrivateKey(createPrivateKey({ key: Buffer.from(pkcs8, 'base64'), format: 'der', type: 'pkcs8' }));
  } catch {
    return undefined; // its file is still there, and a person
  }
}
