import { asTunnelError } from '../model/failure.ts';
import type { SecretSource } from '../model/plan.ts';
import type { Secret } from '../model/secret.ts';
import { secretFromCommand } from './command.ts';
import { secretFromFile } from './file.ts';
import type { SecretName, SecretStore } from './store.ts';
import type { AskPerson } from './vault.ts';

export interface SecretReaderOptions {
  readonly keychain: SecretStore;
  /** The vault, which asks this person for its passphrase. */
  readonly vault: (ask: AskPerson) => SecretStore;
  /** For $CREDENTIALS_DIRECTORY. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told once why the keychain cannot be used: it is the default, so most people without one never chose it. */
  readonly onNote: (message: string) => void;
}

/** Gets one secret from the source that a profile names; undefined where it has none. Asks for nothing but a vault's passphrase. */
export type ReadSecret = (
  name: SecretName,
  source: SecretSource,
  signal: AbortSignal,
  ask: AskPerson,
) => Promise<Secret | undefined>;

/**
 * Makes the reader of a whole program. A keychain that cannot serve has no secret: a person is asked instead. A command,
 * file or vault that was named and fails rejects with SECRET_STORE, a locked vault with nobody to ask with NEEDS_PERSON,
 * and an aborted signal with its reason.
 */
export function secretReader({ keychain, vault, env, onNote }: SecretReaderOptions): ReadSecret {
  let noted = false;
  const fromKeychain = async (name: SecretName): Promise<Secret | undefined> => {
    try {
      return await keychain.get(name);
    } catch (thrown) {
      const error = asTunnelError(thrown);
      if (!noted) onNote(error.hint === '' ? error.message : `${error.message}. ${error.hint}`);
      noted = true;
      return undefined;
    }
  };
  return async (name, source, signal, ask) => {
    signal.throwIfAborted();
    switch (source.kind) {
      case 'prompt':
        return undefined;
      case 'keychain':
        return aborting(fromKeychain(name), signal);
      case 'command':
        return secretFromCommand(source.argv, signal);
      case 'file':
        return aborting(secretFromFile(source.path, env), signal);
      case 'vault':
        return aborting(vault(ask).get(name), signal);
    }
  };
}

/** Stops waiting when the signal says so; what was asked goes on and is forgotten. */
function aborting<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', aborted, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
