import { formatHop, parseHop } from '../model/hop-spec.ts';
import type { HopSpec } from '../model/profile.ts';
import type { SshSettings } from '../ssh-config/settings.ts';
import type { PlanProblem } from './problem.ts';

/** One SSH server on the way, with what ssh_config says about it. */
export interface ChainHop {
  readonly spec: HopSpec;
  readonly settings: SshSettings;
  /** The entry of `via` that led here, jump hosts of ssh_config included. */
  readonly via: number;
  /** The first in the chain: the only one that a proxy command can lead to. */
  readonly first: boolean;
  /** Whose ProxyJump named it; undefined for an entry of `via` itself. */
  readonly jumpOf: SshSettings | undefined;
}

export interface HopChain {
  readonly hops: readonly ChainHop[];
  readonly problems: readonly PlanProblem[];
}

/** Longest chain that is followed: ssh_config may name jump hosts whose own jump hosts have jump hosts. */
const LONGEST_CHAIN = 16;

/**
 * The way to the SSH server, the server last. As with `ssh -J`, an entry of a chain is reached through the one before
 * it, whatever ssh_config says; only for the first do ProxyJump and ProxyCommand count.
 * @param query what ssh_config says about a host; each jump host is asked about for itself
 */
export async function hopChain(
  via: readonly HopSpec[],
  query: (spec: HopSpec) => Promise<SshSettings>,
): Promise<HopChain> {
  const [start, ...others] = via;
  if (start === undefined) return { hops: [], problems: [] };
  const follower = new Follower(query);
  const lead = await follower.waysTo(start, 0, [], undefined);
  const rest = await Promise.all(
    others.map(async (spec, index) => ({
      spec,
      settings: await query(spec),
      via: index + 1,
      first: false,
      jumpOf: undefined,
    })),
  );
  const misplaced = others.flatMap(({ proxyCommand }, index): PlanProblem[] =>
    proxyCommand === undefined || proxyCommand === 'none'
      ? []
      : [{ path: ['via', index + 1, 'proxyCommand'], message: MISPLACED }],
  );
  return { hops: [...lead, ...rest], problems: [...follower.problems, ...misplaced] };
}

const MISPLACED =
  '`proxyCommand` can stand only in the first entry of `via`: the others are reached through the one before';

class Follower {
  readonly problems: PlanProblem[] = [];
  readonly #query: (spec: HopSpec) => Promise<SshSettings>;

  constructor(query: (spec: HopSpec) => Promise<SshSettings>) {
    this.#query = query;
  }

  /** The hop and, before it, the jump hosts that ssh_config wants. @param waiting who is to be reached through it */
  async waysTo(
    spec: HopSpec,
    via: number,
    waiting: readonly string[],
    jumpOf: SshSettings | undefined,
  ): Promise<ChainHop[]> {
    const settings = await this.#query(spec);
    const here = placeOf(spec, settings);
    if (waiting.includes(here)) {
      return this.#refuse(
        via,
        `ssh_config: ProxyJump leads in a circle: ${[...waiting, here].reverse().join(' through ')}`,
      );
    }
    const jumps = spec.proxyCommand === undefined ? jumpsOf(settings.proxyJump) : [];
    if (jumps === undefined) {
      return this.#refuse(via, `ssh_config: ProxyJump of ${spec.host} cannot be read: ${settings.proxyJump ?? ''}`);
    }
    if (waiting.length + jumps.length >= LONGEST_CHAIN) {
      return this.#refuse(via, `ssh_config: ProxyJump names more than ${LONGEST_CHAIN} jump hosts`);
    }
    const [first, ...others] = jumps;
    if (first === undefined) return [{ spec, settings, via, first: true, jumpOf }];
    const lead = await this.waysTo(first, via, [...waiting, here], settings);
    const middle = await Promise.all(
      others.map(async (jump) => ({
        spec: jump,
        settings: await this.#query(jump),
        via,
        first: false,
        jumpOf: settings,
      })),
    );
    return [...lead, ...middle, { spec, settings, via, first: false, jumpOf }];
  }

  #refuse(via: number, message: string): [] {
    this.problems.push({ path: ['via', via], message });
    return [];
  }
}

/** `a@b:22,c` as hops; undefined where one of them cannot be read. */
export function jumpsOf(proxyJump: string | null): readonly HopSpec[] | undefined {
  if (proxyJump === null || proxyJump === '') return [];
  const hops = proxyJump.split(',').map((text) => parseHop(text));
  const read = hops.filter((hop) => hop !== undefined);
  return read.length === hops.length ? read : undefined;
}

/** Where a hop really is: two names of one server are one place in a circle. */
function placeOf(spec: HopSpec, settings: SshSettings): string {
  const host = (settings.hostName ?? spec.host).toLowerCase();
  const user = spec.user ?? settings.user ?? undefined;
  return formatHop({ host, port: spec.port ?? settings.port ?? 22, ...(user === undefined ? {} : { user }) });
}
