import { OPTION_NAMES, type OptionKey } from '../ssh-config/options.ts';
import type { OptionPlace, SshSettings } from '../ssh-config/settings.ts';

type Path = readonly (string | number)[];

/** Where a value of a plan came from. */
export type Source =
  | { readonly kind: 'profile'; readonly path: Path }
  | {
      readonly kind: 'ssh_config';
      /** ssh_config's own name of the option. */
      readonly option: string;
      readonly reader: SshSettings['source'];
      /** Undefined where only ssh itself could tell. */
      readonly place: OptionPlace | undefined;
    }
  | { readonly kind: 'default' };

/** One value of a plan, by its place there, and its source. */
export interface Origin {
  readonly path: Path;
  readonly source: Source;
}

/** Notes where each value comes from in the moment in which it is chosen: nobody guesses afterwards. */
export class Origins {
  readonly #entries: Origin[];
  readonly #planPath: Path;
  readonly #profilePath: Path;
  readonly #settings: SshSettings | undefined;
  /** The hop is no entry of the profile: what its entry says comes from ProxyJump. */
  readonly #jump: SshSettings | undefined;

  constructor(
    entries: Origin[],
    planPath: Path = [],
    profilePath: Path = [],
    settings?: SshSettings,
    jump?: SshSettings,
  ) {
    this.#entries = entries;
    this.#planPath = planPath;
    this.#profilePath = profilePath;
    this.#settings = settings;
    this.#jump = jump;
  }

  /**
   * Notes, for the value at `name` in the plan, that it was written at a place of the profile, else said by ssh_config,
   * else (`lastly`) implied by another place of the profile, else a default.
   */
  note(name: Path, written: Path | false, said: OptionKey | false = false, lastly: Path | false = false): void {
    const source = this.#written(written) ?? this.#said(said) ?? this.#written(lastly) ?? { kind: 'default' };
    this.#entries.push({ path: [...this.#planPath, ...name], source });
  }

  /** The first of the three that is there; its source is noted. @param name in the plan and, but for `field`, in the profile */
  choose<T>(
    name: Path,
    written: T | undefined,
    said: readonly [OptionKey, T | null | undefined] | null,
    fallback: T,
  ): T {
    const saidValue = said?.[1] ?? undefined;
    this.note(name, written !== undefined && name, said !== null && saidValue !== undefined && said[0]);
    return written ?? saidValue ?? fallback;
  }

  #written(path: Path | false): Source | undefined {
    if (path === false) return undefined;
    if (this.#jump !== undefined) return option('proxyJump', this.#jump);
    return { kind: 'profile', path: [...this.#profilePath, ...path] };
  }

  #said(key: OptionKey | false): Source | undefined {
    const settings = this.#settings;
    if (key === false || settings === undefined) return undefined;
    const source = option(key, settings);
    return source.place === undefined && settings.unsaid?.has(key) === true ? undefined : source;
  }
}

function option(key: OptionKey, settings: SshSettings): Extract<Source, { kind: 'ssh_config' }> {
  const name = OPTION_NAMES[key];
  return {
    kind: 'ssh_config',
    option: name,
    reader: settings.source,
    place: settings.places?.get(name.toLowerCase()),
  };
}
