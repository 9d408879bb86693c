import { listProfiles } from '../files/profiles.ts';
import { TunnelError } from '../model/failure.ts';
import { parseHop } from '../model/hop-spec.ts';
import type { HopPlan, Plan } from '../model/plan.ts';
import type { Context } from './context.ts';

/**
 * The way to a server that is named on a command line: as a profile's `via` says it, since its port and known_hosts
 * file count, and what failures call the server is what is written there; a profile's name is its server; else what
 * ssh would do for `ssh HOST`.
 * @throws USAGE where the word names no host
 */
export async function serverPlan(word: string, context: Context): Promise<Plan> {
  const { planOf } = await import('../compose-cli.ts');
  const known = await fromProfiles(word, context);
  if (known !== undefined) return known;
  const hop = parseHop(word);
  if (hop !== undefined) return planOf({ via: [hop], forwards: [] }, context);
  throw new TunnelError('USAGE', `Cannot read the host ${word}: write it like pop.example.org or alice@host:2222`);
}

/** As `serverPlan`, its last hop. */
export async function serverOf(word: string, context: Context): Promise<HopPlan> {
  const server = (await serverPlan(word, context)).hops.at(-1);
  if (server === undefined) throw new TunnelError('USAGE', `Cannot use ${word}: it names no SSH server`);
  return server;
}

async function fromProfiles(word: string, context: Context): Promise<Plan | undefined> {
  const { resolveProfile } = await import('../compose-cli.ts');
  for (const { name } of await listProfiles(context.cwd, context.paths)) {
    // A profile that is wrong says nothing about this host; `check` says what is wrong with it.
    const plan = await resolveProfile(name, context).catch(() => undefined);
    if (plan === undefined) continue;
    const at = name === word ? plan.hops.length - 1 : plan.hops.findIndex((hop) => isCalled(hop, word));
    if (at >= 0) return { ...plan, hops: plan.hops.slice(0, at + 1) };
  }
  return undefined;
}

/** By what was written, with or without the user. */
function isCalled({ label }: HopPlan, word: string): boolean {
  return label === word || label.slice(label.lastIndexOf('@') + 1) === word;
}
