import { listProfiles } from '../../files/profiles.ts';
import { TunnelError } from '../../model/failure.ts';
import { parseHop } from '../../model/hop-spec.ts';
import type { HopPlan, Plan } from '../../model/plan.ts';
import type { Context } from '../context.ts';

/**
 * The way to a server that is named on a command line: as a profile's `via` says it, since its port and known_hosts
 * file count, and what failures call the server is what is written there; a profile's name is its server; else what
 * ssh would do for `ssh HOST`.
 * @throws USAGE where the word names no host
 */
export async function serverPlan(word: string, context: Context): Promise<Plan> {
  return (await serverPlans(word, context))[0];
}

/** As `serverPlan`: several where profiles reach a server of that name with known_hosts files of their own. */
export async function serverPlans(word: string, context: Context): Promise<readonly [Plan, ...Plan[]]> {
  const { planOf } = await import('../../compose-cli.ts');
  const [known, ...others] = await fromProfiles(word, context);
  if (known !== undefined) return [known, ...others];
  const hop = parseHop(word);
  if (hop !== undefined) return [await planOf({ via: [hop], forwards: [] }, context)];
  throw new TunnelError('USAGE', `Cannot read the host ${word}: write it like pop.example.org or alice@host:2222`);
}

/** As `serverPlan`, its last hop. */
export async function serverOf(word: string, context: Context): Promise<HopPlan> {
  const server = (await serverPlan(word, context)).hops.at(-1);
  if (server === undefined) throw new TunnelError('USAGE', `Cannot use ${word}: it names no SSH server`);
  return server;
}

/** The profile of that name alone; else the different ways that profiles reach a server called so. */
async function fromProfiles(word: string, context: Context): Promise<readonly Plan[]> {
  const { resolveProfile } = await import('../../compose-cli.ts');
  // A profile that is wrong says nothing about this host; `check` says what is wrong with it.
  const resolved = (name: string): Promise<Plan | undefined> => resolveProfile(name, context).catch(() => undefined);
  const names = (await listProfiles(context.cwd, context.paths)).map(({ name }) => name);
  const own = names.includes(word) ? await resolved(word) : undefined;
  if (own !== undefined) return [own];
  const ways = new Map<string, Plan>();
  for (const name of names) {
    const plan = await resolved(name);
    const at = plan?.hops.findIndex((hop) => isCalled(hop, word)) ?? -1;
    if (plan === undefined || at < 0) continue;
    const hops = plan.hops.slice(0, at + 1);
    const places = JSON.stringify(hops.map(({ host, port, knownHosts }) => [host, port, knownHosts]));
    if (!ways.has(places)) ways.set(places, { ...plan, hops });
  }
  return [...ways.values()];
}

/** By what was written, with or without the user. */
function isCalled({ label }: HopPlan, word: string): boolean {
  return label === word || label.slice(label.lastIndexOf('@') + 1) === word;
}
