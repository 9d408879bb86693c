import type { Secret } from '../model/secret.ts';

/** One place that keeps secrets. Every call has a deadline of its own and rejects with SECRET_STORE when it cannot serve. */
export interface SecretStore {
  /** Shown to the person: `OS keychain`, `encrypted file`. */
  readonly title: string;
  get(name: SecretName): Promise<Secret | undefined>;
  /** Stores, reads back and compares before it resolves. */
  set(name: SecretName, secret: Secret): Promise<void>;
  /** @returns whether there was one */
  delete(name: SecretName): Promise<boolean>;
  list(): Promise<readonly SecretName[]>;
  /** Does what a person must do before the store can take a secret, such as unlocking it; missing where there is nothing. */
  prepare?(): Promise<void>;
}

/** What a secret is for: `password` of `alice@pop.example.org:22`, `passphrase` of `/home/a/.ssh/id_mail`. */
export interface SecretName {
  readonly kind: (typeof SECRET_KINDS)[number];
  readonly subject: string;
}

export const SECRET_KINDS = ['password', 'passphrase', 'totp'] as const;
