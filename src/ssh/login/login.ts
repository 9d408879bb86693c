import type { AnyAuthMethod } from 'ssh2';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { LoginRefusal } from '../../model/login-refusal.ts';
import type { AuthMethod } from '../../model/plan.ts';
import { Codes } from './codes.ts';
import { SingleKeyAgent } from '../compat/identity-login.ts';
import type { LoginTruth } from '../compat/true-answers.ts';
import type { HopContext } from '../hop-context.ts';
import { collectIdentities, type Identity } from './identities.ts';
import { KeyboardAttempt } from './keyboard.ts';
import { Passwords } from './passwords.ts';
import { signatureAlgorithm } from '../keys/signature-algorithm.ts';

/** sshd ends the connection at its sixth refusal (MaxAuthTries), and since 9.8 remembers who earned it. */
const MOST_FAILURES = 5;
/** Refusals that keys leave over for what a person types. */
const KEPT_FOR_TYPING = 1;
const MOST_KEYBOARD_ATTEMPTS = 3;
/** A profile names one method at least, so that only ssh_config can leave none; a server that asks for nothing is reached all the same. */
const NO_METHOD =
  'ssh_config leaves no way to log in that is supported (PreferredAuthentications, BatchMode and the like): name one with `auth`.';

/**
 * Decides what to try next on one connection, one attempt at a time, by what the server really answered. Identities in
 * OpenSSH's order, then what a person can type; it stops by itself before the server would.
 */
export class Login {
  readonly #context: HopContext;
  readonly #truth: () => LoginTruth;
  readonly #serverVersion: () => string;
  readonly #fail: (error: TunnelError) => void;
  readonly #passwords: Passwords;
  readonly #codes: Codes;
  readonly #tried = new Map<AuthMethod, number>();
  #identities: Identity[] | undefined;
  #keyboard: KeyboardAttempt | undefined;
  #passwordOpen = false;
  #needsPerson: TunnelError | undefined;
  /** Keys that could not be tried, each with its reason, as sentences. */
  readonly #leftAside: string[] = [];

  /** @param fail ends the connection, where an answer to the server is not possible */
  constructor(
    context: HopContext,
    server: { readonly truth: () => LoginTruth; readonly version: () => string },
    fail: (error: TunnelError) => void,
  ) {
    this.#context = context;
    this.#truth = server.truth;
    this.#serverVersion = server.version;
    this.#fail = fail;
    this.#passwords = new Passwords(context);
    this.#codes = new Codes(context);
  }

  /** @throws LOGIN_REFUSED or NEEDS_PERSON once nothing is left to try */
  async next(): Promise<AnyAuthMethod> {
    const truth = this.#truth();
    if (truth.methods === undefined) return { type: 'none', username: this.#context.hop.user }; // asks for the methods
    this.#closePassword(truth.partial);
    this.#codes.settle(truth.partial);
    for (const method of truth.failures < MOST_FAILURES ? this.#context.hop.auth : []) {
      if (!truth.methods.includes(method)) continue;
      const attempt = await this.#attempt(method, truth);
      if (attempt === undefined) continue;
      this.#tried.set(method, (this.#tried.get(method) ?? 0) + 1);
      return attempt;
    }
    throw this.told(this.#needsPerson ?? this.#refusal(truth));
  }

  /** The server let us in. */
  succeeded(): void {
    this.#closePassword(true);
  }

  /** The refusal in the server's own terms; also for a server that ends the login by itself. */
  refused(why?: string): TunnelError {
    return this.told(this.#refusal(this.#truth(), why));
  }

  /** A failure of the login with the server's own answer as its cause; any other failure as it is. */
  told(failure: TunnelError): TunnelError {
    const { code, message, hint } = failure;
    if (code !== 'LOGIN_REFUSED' && code !== 'NEEDS_PERSON') return failure;
    const { user, host } = this.#context.hop;
    const said = new LoginRefusal({ user, host, methods: this.#truth().methods }, { cause: failure.cause });
    // A question that nobody answered may only have come because the keys could not be used.
    const whole = code === 'NEEDS_PERSON' ? [hint, ...this.#leftAside].filter((part) => part !== '').join(' ') : hint;
    return new TunnelError(code, message, { hint: whole, cause: said });
  }

  #attempt(method: AuthMethod, truth: LoginTruth): Promise<AnyAuthMethod | undefined> {
    switch (method) {
      case 'publickey':
        return this.#key(truth);
      case 'keyboard-interactive':
        return Promise.resolve(this.#interactive());
      case 'password':
        return this.#password();
    }
  }

  async #key(truth: LoginTruth): Promise<AnyAuthMethod | undefined> {
    this.#identities ??= [...(await collectIdentities(this.#context, (why) => this.#leave(why)))];
    const typing = this.#context.hop.auth.some(
      (method) => method !== 'publickey' && truth.methods?.includes(method) === true,
    );
    const budget = MOST_FAILURES - (typing ? KEPT_FOR_TYPING : 0);
    for (let identity = this.#identities.shift(); identity !== undefined; identity = this.#identities.shift()) {
      if (truth.failures >= budget) return this.#leaveKeys(this.#identities.length + 1);
      const agent = await this.#offer(identity, truth);
      if (agent !== undefined) return { type: 'agent', username: this.#context.hop.user, agent };
    }
    return undefined;
  }

  async #offer(identity: Identity, truth: LoginTruth): Promise<SingleKeyAgent | undefined> {
    try {
      const { keyType, blob } = await identity.reveal();
      const server = { names: truth.signatureAlgorithms, version: this.#serverVersion() };
      const algorithm = signatureAlgorithm(keyType, server, this.#context.hop.legacy);
      if (algorithm !== undefined) {
        return new SingleKeyAgent({ algorithm, blob, sign: (data) => this.#sign(identity, data, algorithm) }, (error) =>
          this.#broken(error),
        );
      }
      this.#leave(
        `Cannot use ${identity.label}: the server takes only SHA-1 signatures of it, which need \`legacy: true\``,
      );
    } catch (error) {
      this.#setAside(identity, error);
    }
    return undefined;
  }

  /** A key that cannot sign is left aside, and ssh2 asks for the next attempt by itself. */
  async #sign(identity: Identity, data: Buffer, algorithm: string): Promise<Buffer> {
    try {
      return await identity.sign(data, algorithm);
    } catch (error) {
      this.#setAside(identity, error);
      throw error;
    }
  }

  #setAside(identity: Identity, error: unknown): void {
    if (this.#context.signal.aborted) return;
    if (error instanceof TunnelError && error.code === 'NEEDS_PERSON') this.#needsPerson = error;
    else if (error instanceof TunnelError) this.#leave(`${error.message}. ${error.hint}`);
    else this.#leave(`Cannot use ${identity.label}: ${error instanceof Error ? error.message : String(error)}`);
  }

  #leave(why: string): void {
    this.#leftAside.push(`${cleanLine(why, 300).replace(/\.$/, '')}.`);
    this.#context.onNote(why);
  }

  #leaveKeys(count: number): undefined {
    this.#identities = [];
    this.#context.onNote(
      `${count} more keys were not offered to ${this.#context.name}, since it would end the login: name the right one with \`identity\``,
    );
    return undefined;
  }

  #interactive(): AnyAuthMethod | undefined {
    const attempts = this.#tried.get('keyboard-interactive') ?? 0;
    if (this.#keyboard?.asked === false || attempts >= MOST_KEYBOARD_ATTEMPTS) return undefined;
    const keyboard = new KeyboardAttempt(this.#context, this.#passwords, this.#codes);
    this.#keyboard = keyboard;
    this.#passwordOpen = true;
    return {
      type: 'keyboard-interactive',
      username: this.#context.hop.user,
      prompt: (name, instructions, _language, prompts, finish) => {
        keyboard
          .answers(name, instructions, prompts)
          .then((answers) => {
            if (!this.#context.signal.aborted) finish(answers);
          })
          .catch((error: unknown) => this.#broken(error));
      },
    };
  }

  async #password(): Promise<AnyAuthMethod | undefined> {
    try {
      const prompt = `${this.#context.hop.user}@${this.#context.hop.host}'s password:`;
      const password = (await this.#passwords.silent()) ?? (await this.#passwords.typed(prompt, ''));
      if (password === undefined) return undefined;
      this.#passwordOpen = true;
      return { type: 'password', username: this.#context.hop.user, password: password.reveal() };
    } catch (error) {
      if (!(error instanceof TunnelError) || error.code !== 'NEEDS_PERSON') throw error;
      this.#needsPerson = error;
      return undefined;
    }
  }

  #broken(error: unknown): void {
    const known = error instanceof TunnelError;
    this.#fail(
      known
        ? this.told(error)
        : new TunnelError('INTERNAL', `Cannot log in to ${this.#context.name}`, { cause: error }),
    );
  }

  #closePassword(taken: boolean): void {
    if (!this.#passwordOpen) return;
    this.#passwordOpen = false;
    if (taken) this.#passwords.accepted();
    else this.#passwords.refused();
  }

  #refusal({ methods = [] }: LoginTruth, why = 'permission denied'): TunnelError {
    const tried = [...this.#tried].map(([method, count]) =>
      method === 'publickey' ? `publickey with ${count} ${count === 1 ? 'key' : 'keys'}` : method,
    );
    const offers = methods.length === 0 ? 'nothing' : cleanLine(methods.join(', '), 200);
    return new TunnelError(
      'LOGIN_REFUSED',
      `Cannot log in to ${this.#context.name} as ${this.#context.hop.user}: ${why}; tried ${tried.join(', ') || 'nothing'}, the server offers ${offers}`,
      this.#remedy(),
    );
  }

  #remedy(): { readonly hint?: string } {
    if (this.#leftAside.length > 0) return { hint: this.#leftAside.join(' ') };
    if (this.#context.hop.auth.length === 0) return { hint: NO_METHOD };
    return this.#tried.size > 0 ? {} : { hint: 'Name a key with `identity`, or load one into the SSH agent.' };
  }
}
