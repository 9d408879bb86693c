import { join } from 'node:path';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import type { HopSpec } from '../model/profile.ts';
import { readConfigTree, treeOfLines, type ConfigTree } from './config-tree.ts';
import { evaluateConfig } from './evaluate.ts';
import type { ConfigChoice } from './query.ts';
import { readSettings, type SshSettings } from './settings.ts';

export interface FallbackFacts {
  readonly home: string;
  /** Who runs this program: what `Match localuser` means. */
  readonly user: string;
  /** The system's file: read after the person's own. */
  readonly systemFile: string;
  /** Lines that come before all files. */
  readonly overrides?: readonly string[];
}

/**
 * Reads ssh_config without ssh: Host, Match and Include, first value wins; no command is run and no name looked up. It
 * knows the place of each value.
 * @throws PROFILE_INVALID where a named file is missing or cannot be read
 */
export async function readWithoutSsh(hop: HopSpec, config: ConfigChoice, facts: FallbackFacts): Promise<SshSettings> {
  const warnings: string[] = [];
  const trees: ConfigTree[] = [decided(() => treeOfLines(facts.overrides ?? [], 'command line'))];
  for (const file of filesOf(config, facts)) trees.push(await load(file, facts, (words) => warnings.push(words)));
  const query = { host: hop.host, user: hop.user, localUser: facts.user };
  const { values, places, warnings: undecided } = decided(() => evaluateConfig(trees, query));
  const settings = readSettings('library', values, new Map());
  return { ...settings, places, warnings: [...undecided, ...warnings, ...settings.warnings] };
}

interface ConfigFile {
  readonly file: string;
  readonly base: string;
  readonly required: boolean;
}

/** Relative names in an Include of a file given by -F are relative to ~/.ssh, as of the person's own (ssh_config(5)). */
function filesOf(config: ConfigChoice, { home, systemFile }: FallbackFacts): readonly ConfigFile[] {
  const base = join(home, '.ssh');
  if (config.kind === 'none') return [];
  if (config.kind === 'file') return [{ file: config.file, base, required: true }];
  return [
    { file: join(base, 'config'), base, required: false },
    { file: systemFile, base: join(systemFile, '..'), required: false },
  ];
}

async function load(
  { file, base, required }: ConfigFile,
  { home }: FallbackFacts,
  onWarning: (warning: string) => void,
): Promise<ConfigTree> {
  const found = await readConfigTree(file, { home, base, onWarning }).catch((error: unknown) => {
    throw cannotRead(file, error);
  });
  if (found === undefined && required) throw cannotRead(file, new RangeError('it does not exist'));
  return found ?? [];
}

function decided<T>(evaluate: () => T): T {
  try {
    return evaluate();
  } catch (error) {
    throw cannotRead('ssh_config', error);
  }
}

function cannotRead(file: string, error: unknown): TunnelError {
  const why = error instanceof Error ? error.message : String(error);
  return new TunnelError('PROFILE_INVALID', `Cannot read ${file}: ${cleanLine(why)}`, {
    cause: error,
    hint: 'Correct ssh_config.',
  });
}
