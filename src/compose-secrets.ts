import type { Paths } from './files/paths.ts';
import type { Clock } from './model/clock.ts';
import { parseDuration } from './model/duration.ts';
import { Keychain } from './secrets/keychain.ts';
import { secretReader, type ReadSecret } from './secrets/read.ts';
import { VAULT_OPEN_MS, VaultKey } from './secrets/vault-key.ts';
import { Vault, type AskPerson } from './secrets/vault.ts';

type Env = Readonly<Record<string, string | undefined>>;

export interface SecretPlaces {
  readonly paths: Pick<Paths, 'vaultFile'>;
  readonly env: Env;
  /** How long the keychain may take: a person may be unlocking it, or nobody sees its dialog. */
  readonly keychainMs: number;
  /** Told once why the keychain cannot be used. */
  readonly onNote: (message: string) => void;
}

/** Reads stored secrets from where profiles say; one for a whole process, which holds what was unlocked. */
export function storedSecrets({ paths, env, keychainMs, onNote }: SecretPlaces): ReadSecret {
  return secretReader({
    keychain: new Keychain({ deadlineMs: keychainMs }),
    vault: vaultIn(paths, env, env['TUNNEL_VAULT_KEY_FILE']),
    env,
    onNote,
  });
}

/** The vault of a home, for whoever can be asked to unlock it. @param keyFile opens it instead of a person */
export function vaultIn(
  { vaultFile }: Pick<Paths, 'vaultFile'>,
  env: Env,
  keyFile: string | undefined,
): (ask: AskPerson) => Vault {
  const openMs = parseDuration(env['TUNNEL_VAULT_OPEN'] ?? '') ?? VAULT_OPEN_MS;
  const key = new VaultKey(IN_BACKGROUND, openMs);
  return (ask) => new Vault({ file: vaultFile, keyFile, env, key }, ask);
}

/** Nobody waits for a key to be wiped: this timer keeps no process alive. */
const IN_BACKGROUND: Pick<Clock, 'after'> = {
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(delayMs, 2 ** 31 - 1)).unref();
    return () => clearTimeout(timer);
  },
};
