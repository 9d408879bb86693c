import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { Secret } from '../model/secret.ts';
import { keychainHint, plainReason } from './keychain-reasons.ts';
import type { SecretName, SecretStore } from './store.ts';

/** The part of keytar that is used. */
export interface Keytar {
  getPassword(service: string, account: string): Promise<string | null>;
  setPassword(service: string, account: string, password: string): Promise<void>;
  deletePassword(service: string, account: string): Promise<boolean>;
  findCredentials(service: string): Promise<{ account: string; password: string }[]>;
}

/** For a supervisor: nobody sees the desktop's unlock dialog, and a login waits. */
export const DAEMON_DEADLINE_MS = 5_000;
/** For a command in the foreground: a person may be typing the keychain's own password. */
export const FOREGROUND_DEADLINE_MS = 60_000;

export interface KeychainOptions {
  readonly deadlineMs: number;
  /** Loads the library; a test hands in its own. It throws where the system lacks what the library needs. */
  readonly load?: () => Promise<Keytar>;
}

const SERVICE = 'tunnel';
const KINDS = ['password', 'passphrase', 'totp'] as const satisfies readonly SecretName['kind'][];
/** What Windows' credential manager holds (CRED_MAX_CREDENTIAL_BLOB_SIZE); the others hold more. */
const LARGEST_BYTES = 2560;

/** The keychain of the operating system: Secret Service, macOS Keychain, Windows Credential Manager. */
export class Keychain implements SecretStore {
  readonly title = 'OS keychain';
  readonly #deadlineMs: number;
  readonly #load: () => Promise<Keytar>;
  #last: Promise<unknown> = Promise.resolve();
  /** A call has outlived its deadline and still runs. */
  #stuck = false;

  constructor({ deadlineMs, load = loadKeytar }: KeychainOptions) {
    this.#deadlineMs = deadlineMs;
    this.#load = load;
  }

  async get(name: SecretName): Promise<Secret | undefined> {
    const value = await this.#ask(`read the ${wordsFor(name)}`, (keytar) => keytar.getPassword(SERVICE, account(name)));
    return value === null ? undefined : new Secret(value);
  }

  async set(name: SecretName, secret: Secret): Promise<void> {
    refuseUnfit(name, secret);
    const verb = `store the ${wordsFor(name)}`;
    const readBack = await this.#ask(verb, async (keytar) => {
      await keytar.setPassword(SERVICE, account(name), secret.reveal());
      return keytar.getPassword(SERVICE, account(name));
    });
    if (readBack !== secret.reveal()) throw failure(verb, 'it gave back something else than what was stored');
  }

  async delete(name: SecretName): Promise<boolean> {
    return this.#ask(`remove the ${wordsFor(name)}`, (keytar) => keytar.deletePassword(SERVICE, account(name)));
  }

  async list(): Promise<readonly SecretName[]> {
    const found = await this.#ask('list secrets', (keytar) => keytar.findCredentials(SERVICE));
    return found.flatMap((entry) => nameOf(entry.account) ?? []);
  }

  /**
   * One call at a time: keytar's calls cannot be cancelled, and each holds one of the four threads that also serve
   * files and DNS. So a keychain that hangs may have one of them and no more.
   */
  #ask<T>(verb: string, question: (keytar: Keytar) => Promise<T>): Promise<T> {
    if (this.#stuck) return Promise.reject(failure(verb, 'it has not answered an earlier request yet'));
    return new Promise((resolve, reject) => {
      let late = false;
      const patience = setTimeout(() => {
        late = true;
        this.#stuck = true;
        reject(failure(verb, `it did not answer within ${this.#deadlineMs / 1000} s; it may be locked`));
      }, this.#deadlineMs);
      this.#last = this.#last.then(async () => {
        try {
          if (!late) resolve(await question(await this.#load()));
        } catch (error) {
          reject(error instanceof TunnelError ? error : failure(verb, plainReason(error), error));
        } finally {
          clearTimeout(patience);
          this.#stuck = false;
        }
      });
    });
  }
}

/** Only here, and only when used: on a Linux without libsecret the import itself fails. */
async function loadKeytar(): Promise<Keytar> {
  return (await import('keytar')).default;
}

/** Checked first, since no keychain says so: NUL ends a text for most, and what is too long is cut or refused. */
function refuseUnfit(name: SecretName, secret: Secret): void {
  const verb = `store the ${wordsFor(name)}`;
  if (account(name).includes('\0') || secret.reveal().includes('\0')) throw failure(verb, 'it has a NUL in it');
  if (Buffer.byteLength(secret.reveal()) <= LARGEST_BYTES) return;
  throw failure(verb, `it is longer than ${LARGEST_BYTES} bytes`);
}

function account({ kind, subject }: SecretName): string {
  return `${kind} ${subject}`;
}

/** undefined for an entry that something else put under our name. */
function nameOf(entry: string): SecretName | undefined {
  const space = entry.indexOf(' ');
  const kind = KINDS.find((known) => known === entry.slice(0, space));
  return kind === undefined ? undefined : { kind, subject: entry.slice(space + 1) };
}

function wordsFor({ kind, subject }: SecretName): string {
  return `${kind === 'totp' ? 'TOTP seed' : kind} of ${cleanLine(subject)}`;
}

function failure(verb: string, why: string, cause?: unknown): TunnelError {
  const message = `Cannot ${verb} in the OS keychain: ${why}`;
  return new TunnelError('SECRET_STORE', message, { cause, hint: keychainHint(process.platform) });
}
