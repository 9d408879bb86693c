import type { HostKeyPlaces } from '../../compose-cli.ts';
import { removeKnownHost } from '../../files/known-hosts-remove.ts';
import { readKnownHosts } from '../../files/known-hosts.ts';
import { isWildcard, matchesHost } from '../../known-hosts/match.ts';
import type { KnownHost } from '../../known-hosts/parse.ts';
import { cleanLine } from '../../model/clean.ts';
import { TunnelError } from '../../model/failure.ts';
import { isProfilePath } from '../../model/profile-name.ts';
import type { Run } from '../command.ts';
import { askYesNo } from '../prompts.ts';
import { untrustFile } from '../profiles/trust-profile.ts';
import { serverPlans } from '../server/server-plan.ts';

/** `tunnel untrust HOST|FILE`. */
export const run: Run = async ([subject = ''], options, context) => {
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
