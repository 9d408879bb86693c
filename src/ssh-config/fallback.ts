import { join } from 'node:path';
import { parse } from 'ssh-config';
import { cleanLine } from '../model/clean.ts';
import { TunnelError } from '../model/failure.ts';
import type { HopSpec } from '../model/profile.ts';
import { keywordOf, readWithIncludes, type Included } from './include.ts';
import type { ConfigChoice } from './query.ts';
import { readSettings, type OptionValues, type SshSettings } from './settings.ts';

export interface FallbackFacts {
  readonly home: string;
  /** The system's file: read after the person's own. */
  readonly systemFile: string;
}

/** What stands for ssh_config where there is no `ssh` program to ask. */
const NOTICE = 'ssh_config was read without ssh: Match exec, Match canonical and CanonicalizeHostname are left out';

/**
 * Reads ssh_config by a library: Host, Match and Include, first value wins; no command is run and no name looked up.
 * @throws PROFILE_INVALID where a named file is missing or cannot be read
 */
export async function readWithoutSsh(hop: HopSpec, config: ConfigChoice, facts: FallbackFacts): Promise<SshSettings> {
  const parts = await Promise.all(filesOf(config, facts).map((file) => load(file, facts)));
  const lines = parts.flatMap(({ lines: own }) => [...own, 'Host *']);
  const read = computed(
    lines.filter((line) => !isLeftOut(line)),
    hop,
  );
  const settings = readSettings('library', read, new Map());
  const left = lines.some(isLeftOut) || lines.some((line) => /^\s*match\b.*\b(?:exec|canonical)\b/i.test(line));
  const negated = lines.some((line) => /^\s*match\b.*\s!\w/i.test(line));
  return {
    ...settings,
    warnings: [
      ...(left ? [NOTICE] : []),
      ...(negated ? ['ssh_config was read without ssh: Match blocks with ! are left out'] : []),
      ...parts.flatMap(({ warnings }) => warnings),
      ...settings.warnings,
    ],
  };
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

async function load({ file, base, required }: ConfigFile, { home }: FallbackFacts): Promise<Included> {
  const found = await readWithIncludes(file, { home, base }).catch((error: unknown) => {
    throw cannotRead(file, error instanceof Error ? error.message : String(error), error);
  });
  if (found === undefined && required) throw cannotRead(file, 'it does not exist');
  return found ?? { lines: [], warnings: [] };
}

/** The library would run nslookup for these. */
function isLeftOut(line: string): boolean {
  return /^canonical/.test(keywordOf(line)[0] ?? '');
}

function computed(lines: readonly string[], { host, user }: HopSpec): OptionValues {
  try {
    const query = { Host: host, ...(user === undefined ? {} : { User: user }) };
    const found = parse(lines.join('\n')).compute(query, { ignoreCase: true, matchExec: false });
    return new Map(Object.entries(found).map(([name, value]) => [name, valuesOf(name, value)]));
  } catch (error) {
    throw cannotRead('ssh_config', error instanceof Error ? error.message : String(error), error);
  }
}

const SEVERAL = new Set(['identityfile', 'certificatefile', 'localforward', 'remoteforward', 'dynamicforward']);

/** What may stand several times keeps its values apart (each once: a final pass reads twice); other lists are one value. */
function valuesOf(name: string, value: string | string[]): readonly string[] {
  if (!Array.isArray(value)) return [value];
  if (SEVERAL.has(name)) return [...new Set(value)];
  return [value.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(' ')];
}

function cannotRead(file: string, why: string, cause?: unknown): TunnelError {
  return new TunnelError('PROFILE_INVALID', `Cannot read ${file}: ${cleanLine(why)}`, {
    cause,
    hint: 'Correct ssh_config.',
  });
}
