import { cleanLine } from '../../model/clean.ts';
import { parseTotp, totpCode, totpStep, type Totp } from '../../secrets/totp.ts';
import type { HopContext } from '../hop-context.ts';

/** What a prompt for a one-time code says, by PAM modules and appliances that were seen. */
const CODE_PROMPT = /one.?time|\botp\b|\bcode\b|\btoken\b|verification|passcode|authenticator|2fa|mfa/i;
/** The same words in questions that want something else. */
const OTHER = /pass(word|phrase)\s*(and|&|\+|,)|new|change|again|expired|serial|phone|sms|e-?mail|option|select/i;

/** Answers one-time codes on one connection from the seed that was stored for it, if any. */
export class Codes {
  readonly #context: HopContext;
  #seed: Promise<Totp | undefined> | undefined;
  #pending = false;
  #refused = false;

  constructor(context: HopContext) {
    this.#context = context;
  }

  /** @returns undefined where a person has to be asked */
  async answer(prompt: string): Promise<string | undefined> {
    if (this.#refused || !CODE_PROMPT.test(prompt) || OTHER.test(prompt)) return undefined;
    this.#seed ??= this.#stored();
    const totp = await this.#seed;
    if (totp === undefined) return undefined;
    const step = await this.#ownStep(totp);
    if (step === undefined) return undefined;
    this.#pending = true;
    return totpCode(totp, step);
  }

  /** What the server made of the code that was sent last, if one was. */
  settle(taken: boolean): void {
    const refused = this.#pending && !taken;
    this.#pending = false;
    if (!refused) return;
    this.#refused = true; // a second try would spend a login for nothing
    const now = new Date(this.#context.clock.wallMs()).toISOString();
    this.#context.onNote(
      `${this.#context.name} refused the one-time code made here: compare the clock of this machine, which says ${now}; if it is right, store the seed anew`,
    );
  }

  async #stored(): Promise<Totp | undefined> {
    const { subject, name } = this.#context;
    const stored = await this.#context.storedSecret({ kind: 'totp', subject });
    const totp = stored === undefined ? undefined : parseTotp(stored.reveal());
    if (stored !== undefined && totp === undefined) this.#context.onNote(`The stored TOTP seed of ${name} is none`);
    return totp;
  }

  /** A window that no other login has used, of this process or another: this one, or the next, which is waited for. */
  #ownStep(totp: Totp): Promise<number | undefined> {
    const { subject, keyRing, usedCodes } = this.#context;
    return this.#context.untimed(() =>
      keyRing.inTurn(`totp ${subject}`, async () => {
        for (;;) {
          const step = await this.#freeStep(totp);
          // Before it is sent: a code that may have arrived counts as used.
          if (step === undefined || (await usedCodes.use(subject, step))) return step;
        }
      }),
    );
  }

  async #freeStep(totp: Totp): Promise<number | undefined> {
    const { subject, usedCodes, clock, signal } = this.#context;
    const free = (await usedCodes.last(subject)) + 1;
    const waitMs = free * totp.periodMs - clock.wallMs();
    if (waitMs > 2 * totp.periodMs) return this.#clockWentBack();
    if (waitMs > 0) {
      this.#context.onNote(
        `${cleanLine(this.#context.name)} gets the next one-time code in ${Math.ceil(waitMs / 1000)} s`,
      );
      await clock.sleep(waitMs, signal);
    }
    return Math.max(free, totpStep(totp, clock.wallMs()));
  }

  #clockWentBack(): undefined {
    this.#context.onNote(
      `No one-time code for ${this.#context.name}: the clock of this machine went back behind the last code's time`,
    );
    return undefined;
  }
}
