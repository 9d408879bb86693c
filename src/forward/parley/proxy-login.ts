import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../model/clock.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Secret } from '../../model/secret.ts';
import type { Credentials } from '../../socks/step.ts';
import type { KeptPassword } from '../forward-context.ts';

/** A changed password counts after this long at the latest; a store is not asked for each of a browser's connections. */
const KEPT_MS = 30_000;

export interface ProxyLoginOptions {
  readonly user: string;
  readonly clock: Clock;
  readonly password: KeptPassword;
}

/** Judges the logins of one proxy's clients by the password that is kept as a secret. */
export class ProxyLogin {
  readonly #options: ProxyLoginOptions;
  #kept: { readonly password: Promise<Secret>; readonly untilMs: number } | undefined;

  constructor(options: ProxyLoginOptions) {
    this.#options = options;
  }

  /** Rejects with SECRET_STORE where there is no password: nobody could log in then. */
  async ready(): Promise<void> {
    await this.#password();
  }

  /** Takes as long for a wrong answer as for the right one. Rejects with SECRET_STORE. */
  async admits({ user, password }: Credentials): Promise<boolean> {
    const expected = await this.#password();
    const [userRight, passwordRight] = [same(user, this.#options.user), same(password, expected.reveal())];
    return userRight && passwordRight;
  }

  #password(): Promise<Secret> {
    const nowMs = this.#options.clock.nowMs();
    if (this.#kept === undefined || nowMs >= this.#kept.untilMs) {
      const password = this.#read();
      this.#kept = { password, untilMs: nowMs + KEPT_MS };
      password.catch(() => (this.#kept = undefined)); // whoever asked is told; the next one asks anew
    }
    return this.#kept.password;
  }

  async #read(): Promise<Secret> {
    const { user, password } = this.#options;
    const found = await password.read();
    if (found !== undefined) return found;
    throw new TunnelError('SECRET_STORE', `Cannot let proxy clients log in as ${user}: no password is kept for that`, {
      hint: `Store one with \`tunnel secret set password ${password.subject}\`.`,
    });
  }
}

/** Hashed, they have one length, and the comparison tells nothing by its time. */
function same(said: string, expected: string): boolean {
  return timingSafeEqual(digest(said), digest(expected));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
