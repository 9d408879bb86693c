import type { Secret } from '../../model/secret.ts';
import type { HopContext } from '../hop-context.ts';

/** As NumberOfPasswordPrompts of ssh. */
const MOST_TYPED = 3;

/**
 * The passwords to try on one connection: the one that logged in before, then the stored one, then what a person types.
 * Password and keyboard-interactive share it, so that one refused in the first is not repeated in the second.
 */
export class Passwords {
  readonly #context: HopContext;
  #current: { readonly from: 'memory' | 'store' | 'person'; readonly secret: Secret } | undefined;
  #memoryUsed = false;
  #storeUsed = false;
  #typed = 0;

  constructor(context: HopContext) {
    this.#context = context;
  }

  /** A password that nobody needs to be asked for. */
  async silent(): Promise<Secret | undefined> {
    const { keyRing, subject } = this.#context;
    const kept = this.#memoryUsed ? undefined : keyRing.password(subject);
    this.#memoryUsed = true;
    if (kept !== undefined) return this.#use('memory', kept);
    if (this.#storeUsed) return undefined;
    this.#storeUsed = true;
    const stored = await this.#context.storedSecret({ kind: 'password', subject });
    return stored === undefined ? undefined : this.#use('store', stored);
  }

  /** @param prompt the server's own, or ssh's @returns undefined once a person has tried often enough */
  async typed(prompt: string, detail: string): Promise<Secret | undefined> {
    if (this.#typed >= MOST_TYPED) return undefined;
    const again = this.#typed++ > 0 ? 'Permission denied, please try again.' : '';
    const secret = await this.#context.ask({
      kind: 'password',
      subject: this.#context.subject,
      prompt,
      detail: [again, detail].filter((text) => text !== '').join('\n'),
      echo: false,
    });
    return this.#use('person', secret);
  }

  /** The password in use was taken. */
  accepted(): void {
    if (this.#current !== undefined) this.#context.keyRing.keepPassword(this.#context.subject, this.#current.secret);
    this.#current = undefined;
  }

  /** The password in use, if any, was refused. */
  refused(): void {
    if (this.#current?.from === 'memory') this.#context.keyRing.forgetPassword(this.#context.subject);
    if (this.#current?.from === 'store') {
      this.#context.onNote(
        `${this.#context.name} refused the stored password: store the right one with \`tunnel secret set\``,
      );
    }
    this.#current = undefined;
  }

  #use(from: 'memory' | 'store' | 'person', secret: Secret): Secret {
    this.#current = { from, secret };
    return secret;
  }
}
