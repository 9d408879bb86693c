import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import { Secret } from '../model/secret.ts';
import { callKeytar, type KeytarCall } from './keychain-child.ts';
import { keychainHint, plainReason } from './keychain-reasons.ts';
import { SECRET_KINDS, type SecretName, type SecretStore } from './store.ts';

/** For a supervisor: nobody sees the desktop's unlock dialog, and a login waits. */
export const DAEMON_DEADLINE_MS = 5_000;
/** For a command in the foreground: a person may be typing the keychain's own password. */
export const FOREGROUND_DEADLINE_MS = 60_000;

export interface KeychainOptions {
  readonly deadlineMs: number;
  /** URL of a library with keytar's functions, which a test may bring; by default keytar itself. */
  readonly library?: string;
}

const SERVICE = 'tunnel';
/** What Windows' credential manager holds (CRED_MAX_CREDENTIAL_BLOB_SIZE); the others hold more. */
const LARGEST_BYTES = 2560;

/** The keychain of the operating system: Secret Service, macOS Keychain, Windows Credential Manager. */
export class Keychain implements SecretStore {
  readonly title = 'OS keychain';
  readonly #options: KeychainOptions;

  constructor(options: KeychainOptions) {
    this.#options = options;
  }

  async get(name: SecretName): Promise<Secret | undefined> {
    const [value] = await this.#call(`read the ${wordsFor(name)} from`, ['getPassword', SERVICE, account(name)]);
    return typeof value === 'string' ? new Secret(value) : undefined;
  }

  async set(name: SecretName, secret: Secret): Promise<void> {
    const verb = `store the ${wordsFor(name)} in`;
    refuseUnfit(verb, name, secret);
    const value = secret.reveal();
    const write: KeytarCall = ['setPassword', SERVICE, account(name), value];
    const [, readBack] = await this.#call(verb, write, ['getPassword', SERVICE, account(name)]);
    if (readBack !== value) throw failure(verb, 'it gave back something else than what was stored');
  }

  async delete(name: SecretName): Promise<boolean> {
    const verb = `remove the ${wordsFor(name)} from`;
    const [removed] = await this.#call(verb, ['deletePassword', SERVICE, account(name)]);
    return removed === true;
  }

  async list(): Promise<readonly SecretName[]> {
    const [found] = await this.#call('list the secrets in', ['findCredentials', SERVICE]);
    return Array.isArray(found) ? found.flatMap((entry: unknown) => nameOf(entry) ?? []) : [];
  }

  async #call(verb: string, ...calls: readonly KeytarCall[]): Promise<readonly unknown[]> {
    const { deadlineMs, library } = this.#options;
    try {
      return await callKeytar(calls, { deadlineMs, library: library ?? keytar() });
    } catch (error) {
      throw failure(verb, plainReason(error), error);
    }
  }
}

function keytar(): string {
  return pathToFileURL(createRequire(import.meta.url).resolve('keytar')).href;
}

/** Checked first, since no keychain says so: NUL ends a text for most, and what is too long is cut or refused. */
function refuseUnfit(verb: string, name: SecretName, secret: Secret): void {
  if (account(name).includes('\0') || secret.reveal().includes('\0')) throw failure(verb, 'it has a NUL in it');
  if (Buffer.byteLength(secret.reveal()) <= LARGEST_BYTES) return;
  throw failure(verb, `it is longer than ${LARGEST_BYTES} bytes`);
}

function account({ kind, subject }: SecretName): string {
  return `${kind} ${subject}`;
}

/** undefined for an entry that something else put under our name. */
function nameOf(entry: unknown): SecretName | undefined {
  if (typeof entry !== 'object' || entry === null || !('account' in entry)) return undefined;
  if (typeof entry.account !== 'string') return undefined;
  const space = entry.account.indexOf(' ');
  const kind = SECRET_KINDS.find((known) => known === String(entry.account).slice(0, space));
  return kind === undefined ? undefined : { kind, subject: entry.account.slice(space + 1) };
}

function wordsFor({ kind, subject }: SecretName): string {
  return `${kind === 'totp' ? 'TOTP seed' : kind} of ${cleanLine(subject)}`;
}

function failure(verb: string, why: string, cause?: unknown): TunnelError {
  const message = `Cannot ${verb} the OS keychain: ${why}`;
  return new TunnelError('SECRET_STORE', message, { cause, hint: keychainHint(process.platform) });
}
