import type { Plan } from '../../model/plan.ts';
import type { Origin, Source } from '../../plan/origins.ts';
import type { ProfileLines } from '../../profile/parse.ts';

/** One value that counts, and where it came from: `explain --json`, version 1. */
export interface ExplainedValue {
  /** Its place in the plan: `hops[0].port`. */
  readonly path: string;
  readonly value: unknown;
  readonly source: ExplainedSource;
}
export type ExplainedSource =
  | { readonly kind: 'profile'; readonly file: string; readonly line: number; readonly column: number }
  | {
      readonly kind: 'ssh_config';
      readonly option: string;
      /** `ssh -G`, or `library` for our own reading. */
      readonly reader: string;
      /** Null where only ssh itself could tell. */
      readonly file: string | null;
      readonly line: number | null;
    }
  | { readonly kind: 'default' };

/** Joins each origin with its value and, where it stands in a file, with its line. */
export function explainedValues(
  plan: Plan,
  origins: readonly Origin[],
  lines: ProfileLines,
): readonly ExplainedValue[] {
  return origins.map(({ path, source }) => ({
    path: path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : joined(text, part)), ''),
    value: valueAt(plan, path),
    source: explained(source, plan.file, lines),
  }));
}

function joined(text: string, part: string): string {
  return text === '' ? part : `${text}.${part}`;
}

function valueAt(plan: Plan, path: Origin['path']): unknown {
  return path.reduce<unknown>(
    (value, part) => (typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined),
    plan,
  );
}

function explained(source: Source, file: string, lines: ProfileLines): ExplainedSource {
  switch (source.kind) {
    case 'profile':
      return { kind: 'profile', file, ...lines(source.path.map(asWritten)) };
    case 'ssh_config': {
      const { option, reader, place } = source;
      return { kind: 'ssh_config', option, reader, file: place?.file ?? null, line: place?.line ?? null };
    }
    case 'default':
      return source;
  }
}

/** Times are in milliseconds here and carry their unit in the profile: `intervalMs` is `interval`. */
function asWritten(part: string | number): string | number {
  return typeof part === 'string' ? part.replace(/Ms$/, '') : part;
}
