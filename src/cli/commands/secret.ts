import { resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import type { Ask } from '../../link/ask.ts';
import { TunnelError } from '../../model/failure.ts';
import { Secret } from '../../model/secret.ts';
import type { SecretName, SecretStore } from '../../secrets/store.ts';
import { parseTotp } from '../../secrets/totp.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { askHere } from '../server/login.ts';
import { askSecret, askText } from '../prompts.ts';
import { secretName } from '../profiles/secret-name.ts';
import { serverOf } from '../server/server-plan.ts';

/** `tunnel secret set|list|rm`: passwords and passphrases in the system's keychain, or in the vault. */
export const run: Run = async ([action, ...words], options, context) => {
  const store = await storeFor(options, context);
  switch (action) {
    case 'set':
      return await set(store, await nameFrom(words, context), options, context);
    case 'list':
      return await list(store, context);
    case 'rm':
      return await remove(store, await nameFrom(words, context), context);
    default:
      throw new TunnelError('USAGE', `Cannot ${action ?? ''} a secret: the actions are set, list and rm`);
  }
};

async function storeFor(options: Options, context: Context): Promise<SecretStore> {
  const { openKeychain, openVault } = await import('../../compose-cli.ts');
  const keyFile = options.text('key-file');
  if (options.flag('vault')) {
    const path = keyFile === undefined ? undefined : resolve(context.cwd, keyFile);
    return openVault(context, askForVault(context), context.signal, path);
  }
  if (keyFile === undefined) return openKeychain();
  throw new TunnelError('USAGE', 'Cannot use a key file without --vault: the keychain has none');
}

function askForVault(context: Context): Ask {
  if (context.interactive) return askHere(context);
  return ({ subject }) =>
    Promise.reject(
      new TunnelError('NEEDS_PERSON', `Cannot unlock ${subject}: this is no terminal`, {
        hint: 'Run it on a terminal, or name the file that opens it with --key-file or TUNNEL_VAULT_KEY_FILE.',
      }),
    );
}

async function nameFrom(words: readonly string[], context: Context): Promise<SecretName> {
  const given = words.length > 0 ? words : [await askSubject(context)];
  return secretName(given, context.cwd, (word) => serverOf(word, context));
}

async function askSubject(context: Context): Promise<string> {
  if (!context.interactive) throw new TunnelError('USAGE', 'Cannot store a secret: name what it is for');
  return askText(
    {
      message: 'What is it for? (alice@pop.example.org, a key file, or a profile)',
      validate: (typed) => typed.trim() !== '' || 'Name a server, a key file or a profile',
    },
    context.signal,
  );
}

async function set(store: SecretStore, name: SecretName, options: Options, context: Context): Promise<void> {
  if (name.kind === 'totp' && !context.json) context.out.warn(TOTP_COST);
  const secret = options.flag('stdin') ? await fromStdin() : await fromPerson(store, name, context);
  if (name.kind === 'totp' && parseTotp(secret.reveal()) === undefined) throw new TunnelError('USAGE', NO_SEED);
  await store.set(name, secret);
  if (context.json) {
    const warning = name.kind === 'totp' ? { warning: TOTP_COST } : {};
    return context.out.json({ version: 1, stored: name, backend: store.title, ...warning });
  }
  context.out.say(`Stored the ${name.kind} of ${name.subject} in the ${store.title}.`);
  if (options.flag('vault')) {
    context.out.say(`A profile reads it with \`secrets: { ${name.kind}: vault }\`.`);
  }
}

const TOTP_COST =
  'A stored seed makes two factors one: whoever can read this store, or run programs as you, can make the codes. ' +
  'It still protects against somebody who learns the password alone. Ask whether your organisation allows it.';
const NO_SEED =
  'Cannot store the TOTP seed: it must be what the site shows beside its QR code, in base32, or the otpauth:// line in it';

/** One line end at the end is the shell's, not the secret's. */
async function fromStdin(): Promise<Secret> {
  return checked((await readAll(process.stdin)).replace(/\r?\n$/, ''));
}

async function fromPerson(store: SecretStore, name: SecretName, context: Context): Promise<Secret> {
  const { kind, subject } = name;
  if (!context.interactive) {
    throw new TunnelError('USAGE', `Cannot ask for the ${kind} of ${subject}: this is no terminal`, {
      hint: 'Give it on stdin, with --stdin; never as an argument, which everybody on the machine can read.',
    });
  }
  await store.prepare?.();
  const before = await store.get(name); // nobody types a secret for a store that cannot take it
  if (before !== undefined) context.out.say(`The ${store.title} has one: this one takes its place.`);
  const secret = await askSecret(`${kind === 'totp' ? 'TOTP seed' : capital(kind)} of ${subject}:`, context.signal);
  return checked(secret.reveal());
}

/** Keychains end a text at NUL without a word, and an empty secret is a slip of the hand. */
function checked(value: string): Secret {
  if (value === '') throw new TunnelError('USAGE', 'Cannot store the secret: it is empty');
  if (value.includes('\0')) throw new TunnelError('USAGE', 'Cannot store the secret: it has a NUL in it');
  return new Secret(value);
}

async function list(store: SecretStore, context: Context): Promise<void> {
  const names = await store.list();
  if (context.json) return context.out.json({ version: 1, backend: store.title, secrets: names });
  if (names.length === 0) return context.out.say(`The ${store.title} holds no secret of tunnel.`);
  for (const { kind, subject } of names) context.out.data(`${kind.padEnd(10)}  ${subject}`);
  context.out.detail(`In the ${store.title}.`);
}

async function remove(store: SecretStore, name: SecretName, context: Context): Promise<void> {
  if (!(await store.delete(name))) {
    throw new TunnelError(
      'SECRET_STORE',
      `Cannot remove the ${name.kind} of ${name.subject}: the ${store.title} has none`,
      {
        hint: '`tunnel secret list` shows those there are.',
      },
    );
  }
  if (context.json) context.out.json({ version: 1, removed: name, backend: store.title });
  else context.out.say(`Removed the ${name.kind} of ${name.subject} from the ${store.title}.`);
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
