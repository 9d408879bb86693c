import { isIPv4 } from 'node:net';
import { dirname } from 'node:path';
import { addressScope } from '../model/address-scope.ts';
import { formatEndpoint, isLoopback } from '../model/endpoint.ts';
import { mapProtocol, type ForwardSpec } from '../model/forward-spec.ts';
import type { DemandPlan, ForwardPlan, HookCommand, HopPlan, ListenerPlan, Plan, SecretSource } from '../model/plan.ts';
import { DEFAULTS, type Profile } from '../model/profile.ts';
import { expandHome } from '../ssh-config/tokens.ts';
import type { ChainHop, HopChain } from './hops.ts';
import { Origins, type Origin } from './origins.ts';
import type { PlanProblem } from './problem.ts';
import { resolveHop, type HopFacts } from './resolve-hop.ts';

export interface ResolveFacts extends HopFacts {
  readonly name: string;
}

export type Resolved =
  | { readonly ok: true; readonly plan: Plan; readonly origins: readonly Origin[] }
  | { readonly ok: false; readonly problems: readonly PlanProblem[] };

/**
 * Makes the plan of a profile that has been read and checked: the profile over ssh_config over the defaults. This is
 * the only place where defaults are filled in.
 */
export function resolvePlan(profile: Profile, chain: HopChain, facts: ResolveFacts): Resolved {
  const problems: PlanProblem[] = [...chain.problems];
  const origins: Origin[] = [];
  const from = new Origins(origins, [], [], chain.hops.at(-1)?.settings);
  const hops = chain.hops.flatMap((hop, index) => {
    const fromHop = new Origins(origins, ['hops', index], ['via', hop.via], hop.settings, hop.jumpOf);
    return orProblem(() => [resolveHop(hop, facts, fromHop)], ['via', hop.via], problems);
  });
  const forwards = namedForwards(profile, chain.hops.at(-1)?.settings.permitRemoteOpen ?? null);
  noteForwards(profile.forwards, forwards, from);
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    plan: {
      ...head(profile, facts),
      hops,
      forwards,
      ...rules(profile, chain.hops, from),
      ...extras(profile, chain.hops, facts, from),
    },
    origins,
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

function rules(profile: Profile, hops: readonly ChainHop[], from: Origins): Rules {
  const server = hops.at(-1)?.settings;
  const { keepalive, reconnect, timeouts, limits, whileDown, probe } = profile;
  const connections = from.choose(['limits', 'connections'], limits?.connections, null, DEFAULTS.limits.connections);
  const held = whileDown === 'refuse' ? undefined : whileDown;
  from.note(['whileDown', 'hold'], whileDown !== undefined && ['whileDown']);
  return {
    keepalive: {
      intervalMs: from.choose(
        ['keepalive', 'intervalMs'],
        keepalive?.intervalMs,
        ['serverAliveSeconds', inMs(server?.serverAliveSeconds)],
        DEFAULTS.keepalive.intervalMs,
      ),
      maxMissed: from.choose(
        ['keepalive', 'maxMissed'],
        keepalive?.maxMissed,
        ['serverAliveCountMax', server?.serverAliveCountMax],
        DEFAULTS.keepalive.maxMissed,
      ),
    },
    reconnect: reconnectRules(reconnect, from),
    timeouts: {
      connectMs: from.choose(
        ['timeouts', 'connectMs'],
        timeouts?.connectMs,
        ['connectTimeoutSeconds', inMs(server?.connectTimeoutSeconds)],
        DEFAULTS.timeouts.connectMs,
      ),
      loginMs: from.choose(['timeouts', 'loginMs'], timeouts?.loginMs, null, DEFAULTS.timeouts.loginMs),
      channelMs: from.choose(['timeouts', 'channelMs'], timeouts?.channelMs, null, DEFAULTS.timeouts.channelMs),
    },
    limits: {
      connections,
      perClient: from.choose(['limits', 'perClient'], limits?.perClient, null, DEFAULTS.limits.perClient),
      perLocalClient: limits?.perClient ?? connections,
    },
    whileDown: {
      hold: whileDown !== 'refuse',
      holdMs: from.choose(['whileDown', 'holdMs'], held?.holdMs, null, DEFAULTS.whileDown.holdMs),
      queue: from.choose(['whileDown', 'queue'], held?.queue, null, DEFAULTS.whileDown.queue),
    },
    probe: {
      everyMs: from.choose(['probe', 'everyMs'], probe?.everyMs, null, DEFAULTS.probe.everyMs),
      timeoutMs: from.choose(['probe', 'timeoutMs'], probe?.timeoutMs, null, DEFAULTS.probe.timeoutMs),
    },
    connections: from.choose(['connections'], profile.connections, null, DEFAULTS.connections),
    after: from.choose(['after'], profile.after, null, []),
  };
}

/** A first delay above the longest one would never be seen: the longest gives way, since `initial` was written. */
function reconnectRules(written: Profile['reconnect'], from: Origins): Plan['reconnect'] {
  const initialMs = written?.initialMs ?? Math.min(DEFAULTS.reconnect.initialMs, written?.maxMs ?? Infinity);
  const maxMs = written?.maxMs ?? Math.max(DEFAULTS.reconnect.maxMs, initialMs);
  const source = (name: 'initialMs' | 'maxMs' | 'giveUpAfterMs'): void =>
    from.note(['reconnect', name], written?.[name] !== undefined && ['reconnect', name]);
  source('initialMs');
  source('maxMs');
  source('giveUpAfterMs');
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
  from: Origins,
): Pick<Plan, 'secrets' | 'hooks' | 'warnings'> {
  const { secrets, hooks } = profile;
  const source = (kind: keyof Plan['secrets']): SecretSource => {
    from.note(['secrets', kind], secrets?.[kind] !== undefined && ['secrets', kind]);
    return secretSource(secrets?.[kind], facts);
  };
  const hook = (name: keyof Plan['hooks']): HookCommand | null =>
    from.choose(['hooks', name], hooks?.[name], null, null);
  return {
    secrets: { password: source('password'), passphrase: source('passphrase'), totp: source('totp') },
    hooks: { up: hook('up'), down: hook('down'), waiting: hook('waiting') },
    warnings: [...new Set(hops.flatMap(({ settings }) => settings.warnings)), ...openDoors(profile)],
  };
}

function secretSource(written: SecretSource | undefined, { file, local }: ResolveFacts): SecretSource {
  if (written?.kind !== 'file') return written ?? { kind: 'keychain' };
  const credential = credentialName(written.path, local.env);
  if (credential !== undefined) return { kind: 'file', path: credential };
  return { kind: 'file', path: expandHome(written.path, local.home, file === '' ? local.home : dirname(file)) };
}

/** systemd.exec(5), LoadCredential=: under a service manager that hands out credentials a bare name is one of them. */
function credentialName(path: string, env: ResolveFacts['local']['env']): string | undefined {
  const named = /^\$(?:CREDENTIALS_DIRECTORY|\{CREDENTIALS_DIRECTORY\})\/([^/]+)$/.exec(path)?.[1];
  const handed = (env['CREDENTIALS_DIRECTORY'] ?? '') !== '';
  return named ?? (handed && !/[/\\~]/.test(path) ? path : undefined);
}

/** Gives every forward a name of its own. */
function namedForwards({ forwards: specs, timeouts }: Profile, permit: readonly string[] | null): ForwardPlan[] {
  const taken = new Set(specs.map(({ name }) => name).filter((name) => name !== undefined));
  return specs.map((spec) => {
    const name = spec.name ?? freeName(spec, taken);
    taken.add(name);
    return forwardPlan(spec, name, { connectMs: timeouts?.connectMs ?? DEFAULTS.timeouts.connectMs, permit });
  });
}

interface ForwardRules {
  readonly connectMs: number;
  /** PermitRemoteOpen of the server. */
  readonly permit: readonly string[] | null;
}

function forwardPlan(spec: ForwardSpec, name: string, { connectMs, permit }: ForwardRules): ForwardPlan {
  const { bind, allow = null, expect = null, clients = 'many' } = spec;
  const listener: ListenerPlan = {
    name,
    bind,
    allow,
    expect,
    demand: demandOf(spec),
    clients,
    ...mapOf(spec),
    ...accessOf(spec),
  };
  switch (spec.kind) {
    case 'local':
    case 'remote':
      return { kind: spec.kind, ...listener, target: spec.target };
    case 'socks':
      return { kind: spec.kind, ...listener, auth: spec.auth ?? null, expectAt: spec.expectAt ?? null };
    case 'remote-socks':
      return { kind: spec.kind, ...listener, auth: spec.auth ?? null, expectAt: spec.expectAt ?? null, permit };
    case 'relay':
      return {
        kind: spec.kind,
        ...listener,
        targets: spec.targets,
        protocol: spec.protocol ?? 'tcp',
        choose: spec.choose ?? 'failover',
        proxyProtocol: spec.proxyProtocol ?? null,
        connectMs,
        idleMs: spec.idleMs ?? DEFAULTS.udpIdleMs,
      };
    case 'trigger': {
      const { target, idleMs = DEFAULTS.idleMs } = spec;
      const opens = spec.opens.map((port) => ({ ...port, allow: port.allow ?? null }));
      return { kind: spec.kind, ...listener, ...triggerRules(spec), target, opens, idleMs };
    }
  }
}

function mapOf(spec: ForwardSpec): Pick<ListenerPlan, 'map'> {
  return spec.map === undefined ? {} : { map: { port: spec.map.port, protocol: mapProtocol(spec) } };
}

function accessOf({ access }: ForwardSpec): Pick<ListenerPlan, 'access'> {
  return access === undefined ? {} : { access };
}

/** `idle` is the time of the ports; on demand the link is needed while one is open or a client is there, and no longer. */
function triggerRules(spec: ForwardSpec): Pick<ListenerPlan, 'clients' | 'demand'> {
  return { clients: spec.clients ?? 'exclusive', demand: demandOf({ ...spec, idleMs: 0 }) };
}

function demandOf({ open, idleMs, lifetimeMs }: ForwardSpec): DemandPlan | null {
  return open === 'on-demand' ? { idleMs: idleMs ?? DEFAULTS.idleMs, lifetimeMs: lifetimeMs ?? null } : null;
}

/** What a forward says of itself, by the names of its own kind. */
function noteForwards(specs: readonly ForwardSpec[], plans: readonly ForwardPlan[], from: Origins): void {
  for (const [index, plan] of plans.entries()) {
    const spec: object = specs[index] ?? {};
    for (const field of Object.keys(plan)) {
      const name = field === 'demand' ? 'open' : field;
      const written: unknown = Reflect.get(spec, name);
      from.note(['forwards', index, field], written !== undefined && ['forwards', index, name]);
    }
  }
}

function autoName(spec: ForwardSpec): string {
  const [target] = spec.kind === 'relay' ? spec.targets : 'target' in spec ? [spec.target] : [];
  return target === undefined ? spec.kind : formatEndpoint(target);
}

/** The bind address; for a free port, which several may have, where it leads. A number tells apart what is still alike. */
function freeName(spec: ForwardSpec, taken: ReadonlySet<string>): string {
  const { bind } = spec;
  const auto = `auto-${autoName(spec)}`;
  const base = bind.kind === 'tcp' && bind.port === 0 ? auto : formatEndpoint(bind);
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

function inMs(seconds: number | null | undefined): number | undefined {
  return seconds === null || seconds === undefined ? undefined : seconds * 1000;
}

/** A relay is there to be reached by others, and a mapping by the Internet: what may not have been meant is said. */
function openDoors({ forwards }: Profile): string[] {
  return forwards.flatMap(({ kind, bind, allow, map }) => {
    const where = formatEndpoint(bind);
    if (isLoopback(bind)) return [];
    if (map !== undefined && allow?.every((network) => !reachesOut(network)) === true) {
      return [`${where} allows private addresses only: nobody from the Internet comes in by its \`map\``];
    }
    if (allow !== undefined) return [];
    if (map !== undefined) return [`${where} has no \`allow\` list: with its \`map\` the whole Internet can use it`];
    return kind === 'relay' ? [`${where} has no \`allow\` list: everybody who can reach this machine can use it`] : [];
  });
}

/** Whether a network in CIDR form holds addresses of the Internet; its length may lead out of a private range. */
function reachesOut(network: string): boolean {
  const [address = '', length] = network.split('/');
  return isIPv4(address) && (addressScope(address) === 'public' || Number(length) < 8);
}
