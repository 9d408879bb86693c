import { dirname } from 'node:path';
import { formatEndpoint } from '../model/endpoint.ts';
import type { ForwardSpec } from '../model/forward-spec.ts';
import type { DemandPlan, ForwardPlan, HopPlan, Plan, SecretSource } from '../model/plan.ts';
import { DEFAULTS, type Profile } from '../model/profile.ts';
import { expandHome } from '../ssh-config/tokens.ts';
import type { ChainHop, HopChain } from './hops.ts';
import type { PlanProblem } from './problem.ts';
import { resolveHop, type HopFacts } from './resolve-hop.ts';

export interface ResolveFacts extends HopFacts {
  readonly name: string;
}

export type Resolved =
  { readonly ok: true; readonly plan: Plan } | { readonly ok: false; readonly problems: readonly PlanProblem[] };

/**
 * Makes the plan of a profile that has been read and checked: the profile over ssh_config over the defaults. This is
 * the only place where defaults are filled in.
 */
export function resolvePlan(profile: Profile, chain: HopChain, facts: ResolveFacts): Resolved {
  const problems: PlanProblem[] = [...chain.problems];
  const hops = chain.hops.flatMap((hop) => orProblem(() => [resolveHop(hop, facts)], ['via', hop.via], problems));
  const forwards = namedForwards(profile.forwards, problems);
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    plan: {
      ...head(profile, facts),
      hops,
      forwards,
      ...rules(profile, chain.hops),
      ...extras(profile, chain.hops, facts),
    },
  };
}

function orProblem(resolve: () => HopPlan[], path: PlanProblem['path'], problems: PlanProblem[]): HopPlan[] {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.push({ path, message: error.message });
    return [];
  }
}

function head(
  { description, tags }: Profile,
  { name, file }: ResolveFacts,
): Pick<Plan, 'name' | 'file' | 'description' | 'tags'> {
  return { name, file, description: description?.trim() ?? '', tags: tags ?? [] };
}

type Rules = Pick<
  Plan,
  'keepalive' | 'reconnect' | 'timeouts' | 'limits' | 'whileDown' | 'probe' | 'connections' | 'after'
>;

function rules(profile: Profile, hops: readonly ChainHop[]): Rules {
  const server = hops.at(-1)?.settings;
  const { keepalive, reconnect, timeouts, limits, whileDown, probe } = profile;
  const connections = limits?.connections ?? DEFAULTS.limits.connections;
  const held = whileDown === 'refuse' ? undefined : whileDown;
  return {
    keepalive: {
      intervalMs: keepalive?.intervalMs ?? inMs(server?.serverAliveSeconds) ?? DEFAULTS.keepalive.intervalMs,
      maxMissed: keepalive?.maxMissed ?? server?.serverAliveCountMax ?? DEFAULTS.keepalive.maxMissed,
    },
    reconnect: reconnectRules(reconnect),
    timeouts: {
      connectMs: timeouts?.connectMs ?? inMs(server?.connectTimeoutSeconds) ?? DEFAULTS.timeouts.connectMs,
      loginMs: timeouts?.loginMs ?? DEFAULTS.timeouts.loginMs,
      channelMs: timeouts?.channelMs ?? DEFAULTS.timeouts.channelMs,
    },
    limits: {
      connections,
      perClient: limits?.perClient ?? DEFAULTS.limits.perClient,
      perLocalClient: limits?.perClient ?? connections,
    },
    whileDown: {
      hold: whileDown !== 'refuse',
      holdMs: held?.holdMs ?? DEFAULTS.whileDown.holdMs,
      queue: held?.queue ?? DEFAULTS.whileDown.queue,
    },
    probe: {
      everyMs: probe?.everyMs ?? DEFAULTS.probe.everyMs,
      timeoutMs: probe?.timeoutMs ?? DEFAULTS.probe.timeoutMs,
    },
    connections: profile.connections ?? DEFAULTS.connections,
    after: profile.after ?? [],
  };
}

/** A first delay above the longest one would never be seen: the longest gives way, since `initial` was written. */
function reconnectRules(written: Profile['reconnect']): Plan['reconnect'] {
  const initialMs = written?.initialMs ?? Math.min(DEFAULTS.reconnect.initialMs, written?.maxMs ?? Infinity);
  const maxMs = written?.maxMs ?? Math.max(DEFAULTS.reconnect.maxMs, initialMs);
  return {
    initialMs: Math.min(initialMs, maxMs),
    maxMs,
    giveUpAfterMs: written?.giveUpAfterMs ?? DEFAULTS.reconnect.giveUpAfterMs,
  };
}

function extras(
  profile: Profile,
  hops: readonly ChainHop[],
  facts: ResolveFacts,
): Pick<Plan, 'secrets' | 'hooks' | 'warnings'> {
  const { secrets, hooks } = profile;
  const source = (written: SecretSource | undefined): SecretSource => secretSource(written, facts);
  return {
    secrets: {
      password: source(secrets?.password),
      passphrase: source(secrets?.passphrase),
      totp: source(secrets?.totp),
    },
    hooks: { up: hooks?.up ?? null, down: hooks?.down ?? null, waiting: hooks?.waiting ?? null },
    warnings: [...new Set(hops.flatMap(({ settings }) => settings.warnings))],
  };
}

function secretSource(written: SecretSource | undefined, { file, local }: ResolveFacts): SecretSource {
  if (written?.kind !== 'file') return written ?? { kind: 'keychain' };
  return { kind: 'file', path: expandHome(written.path, local.home, file === '' ? local.home : dirname(file)) };
}

/** Gives every forward a name of its own; the kinds that cannot run were refused when the profile was read. */
function namedForwards(specs: readonly ForwardSpec[], problems: PlanProblem[]): ForwardPlan[] {
  const taken = new Set(specs.map(({ name }) => name).filter((name) => name !== undefined));
  return specs.flatMap((spec, index): ForwardPlan[] => {
    if (spec.kind !== 'local') {
      problems.push({ path: ['forwards', index], message: `\`${spec.kind}\` forwards are not supported yet` });
      return [];
    }
    const { bind, target } = spec;
    const name = spec.name ?? freeName(spec, taken);
    taken.add(name);
    const { allow = null, expect = null, clients = 'many' } = spec;
    return [{ kind: 'local', name, bind, target, allow, expect, demand: demandOf(spec), clients }];
  });
}

function demandOf({ open, idleMs, lifetimeMs }: ForwardSpec): DemandPlan | null {
  return open === 'on-demand' ? { idleMs: idleMs ?? DEFAULTS.idleMs, lifetimeMs: lifetimeMs ?? null } : null;
}

/** The bind address; for a free port, which several may have, where it leads. A number tells apart what is still alike. */
function freeName(spec: ForwardSpec & { readonly kind: 'local' }, taken: ReadonlySet<string>): string {
  const { bind, target } = spec;
  const base = bind.kind === 'tcp' && bind.port === 0 ? `auto-${formatEndpoint(target)}` : formatEndpoint(bind);
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

function inMs(seconds: number | null | undefined): number | undefined {
  return seconds === null || seconds === undefined ? undefined : seconds * 1000;
}
