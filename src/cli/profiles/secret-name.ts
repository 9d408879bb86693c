import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { TunnelError } from '../../model/failure.ts';
import type { HopPlan } from '../../model/plan.ts';
import type { SecretName } from '../../secrets/store.ts';
import { formatHop } from '../../model/hop-spec.ts';

/** The server that a word names: by ssh_config, or a profile's. */
export type ServerOf = (word: string) => Promise<Pick<HopPlan, 'user' | 'host' | 'port'>>;

/** `alice@web/localhost:1080`: what clients of a proxy of the profile `web` log in with. */
const PROXY_CLIENT = /^[^/\s]+@[a-z0-9][a-z0-9._-]*\/\S+$/;
const KINDS = ['password', 'passphrase', 'totp'] as const;

/**
 * Reads `password alice@host`, `passphrase ~/.ssh/id`, or the second word alone: a path is a key's passphrase, `user@host`
 * a password, and a profile's name the password of its server.
 * @throws USAGE where the words name no secret
 */
export async function secretName(words: readonly string[], cwd: string, serverOf: ServerOf): Promise<SecretName> {
  const [first = '', second] = words;
  if (words.length > 2) throw usage(`Cannot read ${words.join(' ')}: a kind and a subject are all`);
  if (second === undefined)
    return { kind: guessKind(first), subject: await subjectOf(guessKind(first), first, cwd, serverOf) };
  const kind = KINDS.find((known) => known === first);
  if (kind === undefined) throw usage(`Cannot read ${first}: the kinds are ${KINDS.join(', ')}`);
  return { kind, subject: await subjectOf(kind, second, cwd, serverOf) };
}

function guessKind(word: string): SecretName['kind'] {
  if (KINDS.some((known) => known === word))
    throw usage(`Cannot store a ${word}: of what? Name a server or a key file`);
  if (PROXY_CLIENT.test(word)) return 'password';
  return /[/\\]/.test(word) ? 'passphrase' : 'password';
}

async function subjectOf(kind: SecretName['kind'], word: string, cwd: string, serverOf: ServerOf): Promise<string> {
  if (word === '') throw usage('Cannot store a secret: name what it is for');
  if (kind === 'passphrase') return word.startsWith('~/') ? join(homedir(), word.slice(2)) : resolve(cwd, word);
  if (PROXY_CLIENT.test(word)) return word;
  return formatHop(await serverOf(word)); // with its port always, as a login asks for its password
}

function usage(message: string): TunnelError {
  return new TunnelError('USAGE', message, {
    hint: 'Write it like `tunnel secret set password alice@pop.example.org`.',
  });
}
