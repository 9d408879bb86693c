import type { HostKeyPlaces } from '../../compose-cli.ts';
import type { OfferedHostKey } from '../../compose-host-key.ts';
import { appendKnownHost } from '../../files/known-hosts-append.ts';
import { removeKnownHost } from '../../files/known-hosts-remove.ts';
import { readKnownHosts } from '../../files/known-hosts.ts';
import { isWildcard, matchesHost } from '../../known-hosts/match.ts';
import { keyTypeOf, type KnownHost } from '../../known-hosts/parse.ts';
import { fingerprint, keyTypeTitle } from '../../known-hosts/verdict.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import type { Plan } from '../../model/plan.ts';
import { isProfilePath } from '../../model/profile-name.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import type { Options } from '../options.ts';
import { askYesNo } from '../prompts.ts';
import { dialRequest } from '../server/login.ts';
import { serverPlans } from '../server/server-plan.ts';
import { trustFile, untrustFile } from '../profiles/trust-profile.ts';

/** `tunnel trust HOST|FILE`: records a host's key, or accepts a shared profile as it is now. */
export const run: Run = async ([subject = ''], options, context) => {
  if (isProfilePath(subject)) return trustFile(subject, options, context);
  const offered = await offeredBy(subject, context);
  const wanted = wantedFingerprint(options);
  if (offered.kind === 'known') {
    const prints = offered.entries.map(({ key }) => fingerprint(key));
    if (wanted !== undefined && !prints.includes(wanted)) throw otherKey(offered.name, prints.join(', '), wanted);
    return tell({ name: offered.name, key: offered.entries[0]?.key, file: undefined }, context);
  }
  const { name, key, file, hashed } = offered;
  if (wanted !== undefined && fingerprint(key) !== wanted) throw otherKey(name, fingerprint(key), wanted);
  if (wanted === undefined && !(await agreed({ subject, name, key }, options, context))) {
    throw new TunnelError('HOST_KEY_UNKNOWN', `Nothing was recorded: the key of ${name} is not trusted`, { hint: '' });
  }
  await appendKnownHost(file, name, key, hashed);
  tell({ name, key, file }, context);
};

/** What the server shows: of several ways to it the first by which it is not known yet. */
async function offeredBy(subject: string, context: Context): Promise<OfferedHostKey> {
  const { lookAtHostKey } = await import('../../compose-cli.ts');
  const [first, ...others] = await serverPlans(subject, context);
  const look = (plan: Plan): Promise<OfferedHostKey> =>
    lookAtHostKey(dialRequest(plan, context), context, (note) => context.out.detail(cleanLine(note)));
  let offered = await look(first);
  for (const plan of others) if (offered.kind === 'known') offered = await look(plan);
  return offered;
}

/** `tunnel untrust HOST|FILE`. */
export const untrust: Run = async ([subject = ''], options, context) => {
  if (isProfilePath(subject)) return untrustFile(subject, context);
  const { hostKeyPlaces } = await import('../../compose-cli.ts');
  const servers = (await serverPlans(subject, context)).flatMap(({ hops }) => hops.at(-1) ?? []);
  const places = await Promise.all(servers.map((server) => hostKeyPlaces(server)));
  const name = places[0]?.name ?? subject;
  const files = [...new Set(places.flatMap((place) => place.files))];
  if (!options.flag('yes') && context.interactive) {
    if (!(await askYesNo(`Forget the key of ${name}?`, true, context.signal)))
      return context.out.say('Nothing was removed.');
  }
  const removed: { file: string; lines: readonly KnownHost[] }[] = [];
  for (const file of files) {
    const lines = await removeKnownHost(file, name);
    if (lines.length > 0) removed.push({ file, lines });
  }
  const left = await stillKnown(places, files);
  if (removed.length === 0) {
    throw new TunnelError('HOST_KEY_UNKNOWN', `Cannot forget ${name}: no line of ${files.join(', ')} names it`, {
      hint: left.join(' '),
    });
  }
  if (context.json) {
    return context.out.json({
      version: 1,
      host: name,
      removed: removed.map(({ file, lines }) => ({ file, lines: lines.length })),
    });
  }
  for (const { file, lines } of removed) {
    context.out.say(`Removed ${name} from ${file} (${lines.length} ${lines.length === 1 ? 'line' : 'lines'}).`);
    for (const { line, hosts } of lines.filter(({ hosts: written }) => isWildcard(written)))
      context.out.warn(`Line ${line} spoke of other hosts too, which are unknown now: ${cleanLine(hosts, 200)}`);
  }
  for (const note of left) context.out.warn(note);
};

/** What goes on vouching for the host: `ssh-keygen -R` leaves it alone, and so do we. */
async function stillKnown(places: readonly HostKeyPlaces[], files: readonly string[]): Promise<readonly string[]> {
  const { entries } = await readKnownHosts(files);
  const names = places.flatMap(({ name, fallbackName }) => [name, fallbackName]);
  return entries
    .filter(({ marker, hosts }) => marker !== 'revoked' && names.some((one) => matchesHost(hosts, one)))
    .map(({ marker, file, line, hosts }) =>
      marker === 'none'
        ? `It is still known by ${file}:${line}, as ${cleanLine(hosts, 200)}.`
        : `An authority in ${file}:${line} may still vouch for it.`,
    );
}

function wantedFingerprint(options: Options): string | undefined {
  const given = options.text('fingerprint');
  if (given === undefined) return undefined;
  const print = given.replace(/=+$/, '');
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(print)) return print;
  throw new TunnelError(
    'USAGE',
    `Cannot read the fingerprint ${given}: write it like SHA256:…, as ssh-keygen -l prints it`,
  );
}

interface Unknown {
  /** As it was named on the command line. */
  readonly subject: string;
  readonly name: string;
  readonly key: Buffer;
}

async function agreed({ subject, name, key }: Unknown, options: Options, context: Context): Promise<boolean> {
  const shown = `${titleOf(key)} key of ${name}: ${fingerprint(key)}`;
  if (!context.json) context.out.warn(shown);
  if (options.flag('yes')) {
    const unseen = `Taken without a comparison (--yes). If the owner's differs: tunnel untrust ${cleanLine(subject)}`;
    if (!context.json) context.out.warn(unseen);
    return true;
  }
  if (context.interactive)
    return askYesNo('Is this the fingerprint that the owner of the host told you?', false, context.signal);
  throw new TunnelError('HOST_KEY_UNKNOWN', `Cannot ask whether to trust the ${shown}: this is no terminal`, {
    hint: `Compare it, then run \`tunnel trust ${cleanLine(subject)} --fingerprint ${fingerprint(key)}\`.`,
  });
}

function otherKey(name: string, shown: string, wanted: string): TunnelError {
  return new TunnelError('HOST_KEY_CHANGED', `Cannot trust ${name}: its key is ${shown}, and not ${wanted}`);
}

interface Outcome {
  readonly name: string;
  readonly key: Buffer | undefined;
  /** Where it was recorded; undefined where it was known. */
  readonly file: string | undefined;
}

function tell({ name, key, file }: Outcome, { json, out }: Context): void {
  const print = key === undefined ? null : fingerprint(key);
  if (json)
    return out.json({ version: 1, host: name, fingerprint: print, recorded: file !== undefined, file: file ?? null });
  if (file === undefined) return out.say(`The key of ${name} is trusted already: ${print ?? ''}`);
  out.say(`Recorded the key of ${name} (${print ?? ''}) in ${cleanLine(file)}.`);
}

function titleOf(key: Buffer): string {
  return keyTypeTitle(keyTypeOf(key) ?? 'unknown');
}
