import type { Prompt } from 'ssh2';
import { clean, cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Codes } from './codes.ts';
import type { HopContext } from '../hop-context.ts';
import type { Passwords } from './passwords.ts';

/** A server may ask in many rounds; beyond these it is not asking but wasting a person's time. */
const MOST_PROMPTS = 20;
const MOST_ROUNDS = 20;

/** A single hidden prompt for a password, as PAM asks it: the one question whose answer may be kept and repeated. */
const PASSWORD_PROMPT = /^[^:]*\bpass(word|phrase)?\b[^:]*:?\s*$/i;
const ONE_TIME = /one.?time|otp|code|token|verif|new|change|again|expired/i;

/** Answers one attempt at keyboard-interactive (RFC 4256), round by round. */
export class KeyboardAttempt {
  readonly #context: HopContext;
  readonly #passwords: Passwords;
  readonly #codes: Codes;
  #rounds = 0;
  /** Whether the server asked anything at all: if not, trying again changes nothing. */
  asked = false;

  constructor(context: HopContext, passwords: Passwords, codes: Codes) {
    this.#context = context;
    this.#passwords = passwords;
    this.#codes = codes;
  }

  /** @throws NEEDS_PERSON where nobody is there to be asked; LOGIN_REFUSED where a person has tried often enough */
  async answers(name: string, instructions: string, prompts: readonly Prompt[]): Promise<string[]> {
    this.asked = true;
    if (++this.#rounds > MOST_ROUNDS || prompts.length > MOST_PROMPTS) {
      throw new TunnelError(
        'LOGIN_REFUSED',
        `Cannot log in to ${this.#context.name}: the server asks too many questions`,
      );
    }
    const detail = [cleanLine(name, 200), clean(instructions.replaceAll('\r\n', '\n').trim(), 2000)]
      .filter((text) => text !== '')
      .join('\n');
    const answers: string[] = [];
    for (const [at, prompt] of prompts.entries()) {
      answers.push(await this.#answer(prompt, at === 0 ? detail : '', prompts.length === 1)); // what there is to read, once
    }
    return answers;
  }

  async #answer({ prompt, echo = false }: Prompt, detail: string, single: boolean): Promise<string> {
    const text = cleanLine(prompt, 200);
    const { hop, subject } = this.#context;
    const shown = `(${hop.user}@${hop.host}) ${text}`; // as OpenSSH since 8.4: who asks is for us to say, not for the server
    const secret = single && !echo && PASSWORD_PROMPT.test(text) && !ONE_TIME.test(text);
    if (secret) return this.#password(shown, detail);
    const code = await this.#codes.answer(text);
    if (code !== undefined) return code;
    const question = { kind: 'code', subject, prompt: shown, detail, echo } as const;
    return (await this.#context.ask(question)).reveal();
  }

  async #password(prompt: string, detail: string): Promise<string> {
    const password = (await this.#passwords.silent()) ?? (await this.#passwords.typed(prompt, detail));
    if (password !== undefined) return password.reveal();
    throw new TunnelError('LOGIN_REFUSED', `Cannot log in to ${this.#context.name}: the password was refused`);
  }
}
