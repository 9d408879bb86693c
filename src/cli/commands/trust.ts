import type { FreshHostKey, OfferedHostKeys } from '../../compose-host-key.ts';
import { appendKnownHost } from '../../files/known-hosts-append.ts';
import { keyTypeOf } from '../../known-hosts/parse.ts';
import { fingerprint, keyTypeTitle } from '../../known-hosts/verdict.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Plan } from '../../model/plan.ts';
import { isProfilePath } from '../../model/profile-name.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { askText } from '../prompts.ts';
import { trustFile } from '../profiles/trust-profile.ts';
import { dialRequest } from '../server/login.ts';
import { serverPlans } from '../server/server-plan.ts';

/** `tunnel trust HOST|FILE`: records a host's keys, or accepts a shared profile as it is now. */
export const run: Run = async ([subject = ''], options, context) => {
  if (isProfilePath(subject)) return trustFile(subject, options, context);
  const wanted = wantedFingerprint(options);
  const offered = await offeredBy(subject, wanted, context);
  const { name, file, hashed, fresh } = offered;
  const keys = await chosen({ subject, offered, wanted }, options, context);
  if (keys.length === 0 && fresh.length > 0 && !isKnown(offered, wanted)) {
    throw new TunnelError('HOST_KEY_UNKNOWN', `Nothing was recorded: the key of ${name} is not trusted`, { hint: '' });
  }
  for (const { key } of keys) await appendKnownHost(file, name, key, hashed);
  tell(offered, keys, context);
};

/** What the server shows: of several ways to it the first by which it is not known yet. */
async function offeredBy(subject: string, wanted: string | undefined, context: Context): Promise<OfferedHostKeys> {
  const { lookAtHostKeys } = await import('../../compose-cli.ts');
  const [first, ...others] = await serverPlans(subject, context);
  const look = (plan: Plan): Promise<OfferedHostKeys> =>
    lookAtHostKeys(
      dialRequest(plan, context),
      context,
      (known) => wanted === undefined || known.some(({ key }) => fingerprint(key) === wanted),
      (note) => context.out.detail(cleanLine(note)),
    );
  let offered = await look(first);
  for (const plan of others) if (offered.fresh.length === 0) offered = await look(plan);
  return offered;
}

function isKnown({ known }: OfferedHostKeys, wanted: string | undefined): boolean {
  return wanted !== undefined && known.some(({ key }) => fingerprint(key) === wanted);
}

interface Choice {
  /** As it was named on the command line. */
  readonly subject: string;
  readonly offered: OfferedHostKeys;
  readonly wanted: string | undefined;
}

/**
 * Which of the fresh keys are to be recorded. Each was shown over a connection of its own, so that one of them being
 * right says nothing of the others: whoever names one fingerprint trusts that key alone.
 * @throws HOST_KEY_CHANGED where no key has the wanted fingerprint, HOST_KEY_UNKNOWN where nobody can be asked
 */
async function chosen(
  { subject, offered, wanted }: Choice,
  options: Options,
  context: Context,
): Promise<readonly FreshHostKey[]> {
  const { name, known, fresh } = offered;
  if (wanted !== undefined) {
    const right = fresh.filter(({ key }) => fingerprint(key) === wanted);
    if (right.length > 0 || isKnown(offered, wanted)) return right;
    throw otherKey(name, [...known, ...fresh].map(({ key }) => fingerprint(key)).join(', '), wanted);
  }
  if (!context.json) for (const one of fresh) context.out.warn(`${shown(one, name)}${vouchedBy(one)}`);
  if (fresh.every(({ authority }) => authority !== null)) return fresh;
  if (options.flag('yes')) {
    const unseen = `Taken without a comparison (--yes). If the owner's differs: tunnel untrust ${cleanLine(subject)}`;
    if (!context.json) context.out.warn(unseen);
    return fresh;
  }
  if (context.interactive) return agreed(fresh, context);
  const prints = fresh.map((one) => shown(one, name)).join('; ');
  throw new TunnelError('HOST_KEY_UNKNOWN', `Cannot ask whether to trust the ${prints}: this is no terminal`, {
    hint: `Compare it, then run \`tunnel trust ${cleanLine(subject)} --fingerprint ${firstPrint(fresh)}\`.`,
  });
}

async function agreed(fresh: readonly FreshHostKey[], context: Context): Promise<readonly FreshHostKey[]> {
  const message =
    fresh.length === 1
      ? 'Is this the fingerprint that the owner of the host told you? (yes/no/fingerprint)'
      : 'Did the owner of the host tell you all of these? yes, no, or the one that was told';
  const prints = fresh.map(({ key }) => fingerprint(key));
  const validate = (text: string): true | string =>
    /^(?:y|yes|n|no)$/i.test(text.trim()) || prints.includes(plain(text)) || 'Please type yes, no or one of these.';
  const answer = plain(await askText({ message, validate }, context.signal));
  if (/^y(?:es)?$/i.test(answer)) return fresh;
  return fresh.filter(({ key }) => fingerprint(key) === answer);
}

function plain(print: string): string {
  return print.trim().replace(/=+$/, '');
}

function wantedFingerprint(options: Options): string | undefined {
  const given = options.text('fingerprint');
  if (given === undefined) return undefined;
  const print = plain(given);
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(print)) return print;
  throw new TunnelError(
    'USAGE',
    `Cannot read the fingerprint ${given}: write it like SHA256:…, as ssh-keygen -l prints it`,
  );
}

function firstPrint([first]: readonly FreshHostKey[]): string {
  return first === undefined ? 'SHA256:…' : fingerprint(first.key);
}

function shown({ key }: Pick<FreshHostKey, 'key'>, name: string): string {
  return `${titleOf(key)} key of ${name}: ${fingerprint(key)}`;
}

function vouchedBy({ authority }: FreshHostKey): string {
  return authority === null ? '' : ` (its certificate is of the authority in ${authority.file}:${authority.line})`;
}

function otherKey(name: string, prints: string, wanted: string): TunnelError {
  return new TunnelError('HOST_KEY_CHANGED', `Cannot trust ${name}: its key is ${prints}, and not ${wanted}`);
}

/** `fingerprint` is that of the first key, the one that the host prefers. */
function tell({ name, known, file }: OfferedHostKeys, keys: readonly FreshHostKey[], { json, out }: Context): void {
  const told = keys.length > 0 ? keys : known;
  const prints = told.map(({ key }) => fingerprint(key));
  const recorded = keys.length > 0;
  if (json) {
    return out.json({
      version: 1,
      host: name,
      fingerprint: prints[0] ?? null,
      recorded,
      file: recorded ? file : null,
      keys: told.map(({ key }) => ({ type: keyTypeOf(key) ?? 'unknown', fingerprint: fingerprint(key) })),
    });
  }
  if (!recorded) return out.say(`The key of ${name} is trusted already: ${prints.join(', ')}`);
  for (const { key } of keys)
    out.say(`Recorded the ${titleOf(key)} key of ${name} (${fingerprint(key)}) in ${cleanLine(file)}.`);
}

function titleOf(key: Buffer): string {
  return keyTypeTitle(keyTypeOf(key) ?? 'unknown');
}
