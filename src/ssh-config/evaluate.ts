import type { ConfigTree, PlacedDirective } from './config-tree.ts';
import { matchWords, matchesPatterns } from './lines.ts';
import type { OptionPlace } from './settings.ts';

export interface EvaluationFacts {
  /** As it stands on the command line. */
  readonly host: string;
  /** The user that is given there. */
  readonly user: string | undefined;
  /** Who runs this program. */
  readonly localUser: string;
}

/** What ssh_config says about one host. */
export interface Evaluated {
  /** Each option with its values in order. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** Where the first value of each stands. */
  readonly places: ReadonlyMap<string, OptionPlace>;
  /** What could not be decided here, in words. */
  readonly warnings: readonly string[];
}

/** What may stand several times: each value once, since a final pass reads everything twice. */
const SEVERAL = new Set(['identityfile', 'certificatefile', 'localforward', 'remoteforward', 'dynamicforward']);

/** The option is a list of words, which `ssh -G` prints in one line. */
const WORDS = new Set(['userknownhostsfile', 'globalknownhostsfile', 'rekeylimit', 'localforward', 'remoteforward']);

/**
 * Decides as OpenSSH's readconf.c does: the first value wins, Host and Match open and close, an Include counts where its
 * block does. No command is run, no name is looked up: what would need that is left out and named.
 */
export function evaluateConfig(trees: readonly ConfigTree[], facts: EvaluationFacts): Evaluated {
  const evaluation = new Evaluation(facts);
  for (const tree of trees) evaluation.pass(tree);
  if (evaluation.wantsFinalPass) {
    evaluation.beginFinalPass();
    for (const tree of trees) evaluation.pass(tree);
  }
  return evaluation;
}

class Evaluation implements Evaluated {
  readonly values = new Map<string, readonly string[]>();
  readonly places = new Map<string, OptionPlace>();
  wantsFinalPass = false;
  readonly #warnings = new Set<string>();
  readonly #facts: EvaluationFacts;
  #final = false;
  #finalHost: string | undefined;

  constructor(facts: EvaluationFacts) {
    this.#facts = facts;
  }

  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  beginFinalPass(): void {
    this.#finalHost = this.#dialled();
    this.#final = true;
  }

  /** @param open whether the block counts in which the file is included. What a file closes stays closed only in it. */
  pass(tree: ConfigTree, open = true): void {
    let active = open;
    for (const directive of tree) {
      const { keyword, words, included } = directive;
      if (keyword === 'host') active = open && matchesPatterns(this.#facts.host, words);
      else if (keyword === 'match') active = this.#matches(directive) && open;
      else if (keyword === 'include') for (const inner of included) this.pass(inner, active);
      else if (active) this.#take(directive);
    }
  }

  #take(directive: PlacedDirective): void {
    const { keyword, words, file, line } = directive;
    const value = WORDS.has(keyword) ? words.map(quoted).join(' ') : (words[0] ?? '');
    const before = this.values.get(keyword);
    // As readconf.c: of a jump host and a proxy command the first of either kind counts.
    if (keyword === 'proxycommand' && this.values.has('proxyjump')) return;
    if (keyword === 'proxyjump' && this.values.has('proxycommand')) return;
    if (before === undefined) {
      this.values.set(keyword, [value]);
      this.places.set(keyword, { file, line });
    } else if (SEVERAL.has(keyword) && !before.includes(value)) this.values.set(keyword, [...before, value]);
    if (keyword === 'canonicalizehostname' && !/^(?:no|none)$/i.test(value)) {
      this.#warn(`ssh_config: CanonicalizeHostname (${file}:${line}) is left out: only ssh looks names up`);
    }
  }

  /** Every criterion is looked at, so that each one that cannot be decided is named (match_cfg_line in readconf.c). */
  #matches(directive: PlacedDirective): boolean {
    const words = matchWords(directive.words[0] ?? '');
    let result = true;
    for (let at = 0; at < words.length; at += 1) {
      const word = words[at] ?? '';
      const negated = word.startsWith('!');
      const name = word.slice(negated ? 1 : 0).toLowerCase();
      const argument = ALONE.has(name) ? '' : words[(at += 1)];
      if (argument === undefined) throw new RangeError(`${placeOf(directive)}: Match ${name} has no value`);
      const holds = this.#criterion(name, argument);
      if (holds === undefined)
        this.#warn(`ssh_config: Match ${name} (${placeOf(directive)}) is left out: only ssh decides it`);
      if (holds === undefined || holds === negated) result = false;
    }
    return result;
  }

  /** @returns undefined where it cannot be decided here */
  #criterion(name: string, argument: string): boolean | undefined {
    const { host, user, localUser } = this.#facts;
    const matches = (text: string): boolean => matchesPatterns(text, argument.split(','));
    switch (name) {
      case 'all':
        return true;
      case 'final':
        this.wantsFinalPass = true;
        return this.#final;
      case 'canonical':
        return this.#final;
      case 'host':
        return matchesPatterns(this.#dialled(), argument.toLowerCase().split(','));
      case 'originalhost':
        return matchesPatterns(host, argument.toLowerCase().split(','));
      case 'user':
        return matches(user ?? this.values.get('user')?.[0] ?? localUser);
      case 'localuser':
        return matches(localUser);
      case 'tagged':
        return matches(this.values.get('tag')?.[0] ?? '');
      default:
        return undefined;
    }
  }

  /** HostName may hold %h and %% (ssh_config(5)). */
  #dialled(): string {
    const { host } = this.#facts;
    const named = this.#finalHost ?? this.values.get('hostname')?.[0] ?? host;
    return named.replace(/%([%h])/g, (_, sign: string) => (sign === 'h' ? host : '%')).toLowerCase();
  }

  #warn(warning: string): void {
    this.#warnings.add(warning);
  }
}

const ALONE = new Set(['all', 'final', 'canonical']);

function placeOf({ file, line }: PlacedDirective): string {
  return `${file}:${line}`;
}

function quoted(word: string): string {
  return /\s/.test(word) ? `"${word}"` : word;
}
