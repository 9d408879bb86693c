import { asTunnelError, TunnelError } from '../model/failure.ts';
import type { WantedTunnel } from '../model/memory.ts';
import type { Plan } from '../model/plan.ts';
import type { Caller, Selection } from '../model/request.ts';
import type { SupervisorDeps } from './deps.ts';
import { resolveAll, resolveOne, secondFile, type Wish } from './resolving.ts';
import { tunnelName } from '../model/profile-name.ts';
import { together } from './selection.ts';

/** What runs now, as far as the meaning of a request depends on it. */
export interface RunningTunnels {
  /** Every tunnel there is, those that are on their way down too. */
  readonly names: () => readonly string[];
  /** It is to run. */
  readonly wants: (name: string) => boolean;
  /** undefined where it does not run, or its profile cannot be read. */
  readonly plan: (name: string) => Plan | undefined;
  /** How its profile is found again; undefined for a program's own plan. */
  readonly wanted: (name: string) => WantedTunnel | undefined;
}

/** Turns what a person asked for into plans, or into everything that is wrong with it. Changes nothing. */
export class ProfileReader {
  readonly #deps: Pick<SupervisorDeps, 'resolve' | 'listNames' | 'refuseConflicts'>;
  readonly #running: RunningTunnels;

  constructor(deps: Pick<SupervisorDeps, 'resolve' | 'listNames' | 'refuseConflicts'>, running: RunningTunnels) {
    this.#deps = deps;
    this.#running = running;
  }

  /** The profiles that a selection means, as the person wrote them. @throws PROFILE_NOT_FOUND where there is none */
  async chosen(select: Selection, caller: Caller): Promise<readonly string[]> {
    if ('names' in select) return [...new Set(select.names)];
    const tag = 'tag' in select ? select.tag : undefined;
    const names = await this.#deps.listNames(tag, caller);
    if (names.length > 0) return names;
    const none = tag === undefined ? 'there is no profile' : `no profile has the tag ${tag}`;
    throw new TunnelError('PROFILE_NOT_FOUND', `Cannot find what is meant: ${none}`);
  }

  /**
   * The tunnels that a selection means, for what is done to running ones.
   * @throws PROFILE_NOT_FOUND for a name that neither runs nor exists, or a tag that nothing has
   */
  async known(select: Selection, caller: Caller): Promise<readonly string[]> {
    const running = this.#running.names();
    if ('all' in select) return running;
    if ('tag' in select) {
      const tagged = running.filter((name) => this.#running.plan(name)?.tags.includes(select.tag));
      if (tagged.length === 0) await this.chosen(select, caller);
      return tagged;
    }
    const unknown = await Promise.all(select.names.map((name) => this.#whyUnknown(name, caller)));
    throwAll(unknown.filter((error) => error !== undefined));
    return [...new Set(select.names.map(tunnelName))];
  }

  /** Plans of these profiles, and of those that must be up before them, in the order of their start. */
  async read(names: readonly string[], caller: Pick<Caller, 'cwd'>): Promise<readonly Wish[]> {
    const wishes = await resolveAll(this.#resolve, names, caller, (name) => this.#running.wants(name));
    const clashes = wishes.flatMap(({ plan }) => {
      const file = this.#running.plan(plan.name)?.file;
      return file === undefined || file === plan.file ? [] : [secondFile(plan.name, file, plan.file)];
    });
    throwAll(clashes);
    this.#deps.refuseConflicts(wishes.map(({ plan }) => plan));
    return wishes;
  }

  /** Reads again what runs, each from where it was found at first. A program's own plan is what it is. */
  async readAgain(names: readonly string[]): Promise<readonly Wish[]> {
    const errors: TunnelError[] = [];
    const wishes: Wish[] = [];
    for (const name of names) {
      const wanted = this.#running.wanted(name);
      const plan = this.#running.plan(name);
      try {
        if (wanted !== undefined) wishes.push(await resolveOne(this.#resolve, wanted));
        else if (plan !== undefined) wishes.push({ plan, wanted: null });
      } catch (error) {
        errors.push(asTunnelError(error));
      }
    }
    throwAll(errors);
    this.#deps.refuseConflicts(wishes.map(({ plan }) => plan));
    return wishes;
  }

  /** One profile that was wanted before. */
  readWanted(wanted: WantedTunnel): Promise<Wish> {
    return resolveOne(this.#resolve, wanted);
  }

  readonly #resolve: SupervisorDeps['resolve'] = (name, caller) => this.#deps.resolve(name, caller);

  async #whyUnknown(name: string, caller: Caller): Promise<TunnelError | undefined> {
    if (this.#running.wants(tunnelName(name))) return undefined;
    try {
      await this.#deps.resolve(name, caller);
    } catch (thrown) {
      const error = asTunnelError(thrown);
      if (error.code === 'PROFILE_NOT_FOUND') return error; // a profile with mistakes exists all the same
    }
    return undefined;
  }
}

function throwAll(errors: readonly TunnelError[]): void {
  const [first, ...others] = errors;
  if (first !== undefined) throw together([first, ...others]);
}
