import { readProfileText } from '../../files/profiles.ts';
import type { HopPlan } from '../../model/plan.ts';
import type { HopSpec } from '../../model/profile.ts';
import { parseProfile } from '../../profile/parse.ts';
import type { Context } from '../context.ts';
import type { Subject } from './subject.ts';

/**
 * The way to the server by a login that is not limited: as the profile says it or, where it logs in with the dedicated key, as it
 * said before.
 */
export async function loginWithout(subject: Subject, context: Context): Promise<readonly HopPlan[]> {
  const { plan, server, key, dedicated } = subject;
  if (!dedicated || !server.identities.some(({ file }) => file === key.file)) return plan.hops;
  const hops = await hopsWithout(subject, context);
  // ssh_config may name the key too.
  return hops.map((hop, index) => {
    if (index < hops.length - 1) return hop;
    return { ...hop, identities: hop.identities.filter(({ file }) => file !== key.file) };
  });
}

async function hopsWithout({ profile, plan, server, key }: Subject, context: Context): Promise<readonly HopPlan[]> {
  const { planOf } = await import('../../compose-cli.ts');
  const parsed = parseProfile(await readProfileText(profile.file), profile.file);
  const last = parsed.ok ? parsed.profile.via?.at(-1) : undefined;
  if (!parsed.ok || last?.identity === undefined) return plan.hops;
  // In one order: what the profile names is all that the plan has.
  const others = last.identity.filter((_, index) => server.identities[index]?.file !== key.file);
  const via = [...(parsed.profile.via ?? []).slice(0, -1), withKeys(last, others)];
  return (await planOf({ ...parsed.profile, via }, context, profile.file)).hops;
}

/** `--use` wrote the key, and `agent: false` beside it: without the one the other has no reason. */
function withKeys(hop: HopSpec, identity: readonly string[]): HopSpec {
  if (identity.length > 0) return { ...hop, identity };
  const { agent, ...others } = hop;
  return { ...others, identity: undefined, ...(agent === false ? {} : { agent }) };
}
