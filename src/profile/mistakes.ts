import type * as z from 'zod';
import { cleanLine } from '../model/clean.ts';
import { nearest } from '../model/nearest.ts';
import { KINDS } from './schema-forward.ts';
import type { Path, PathKey } from './yaml-tree.ts';

/** A mistake at a path of the data. `at` says whether the name or the value of the field is meant. */
export interface Mistake {
  readonly path: Path;
  readonly at: 'name' | 'value';
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** The schema's issues as sentences for a person, each once. */
export function mistakesOf(issues: readonly Issue[], data: unknown): Mistake[] {
  return issues.flatMap((issue) => {
    const path = issue.path.filter((key): key is PathKey => typeof key !== 'symbol');
    return describe(issue, path, data);
  });
}

function describe(issue: Issue, path: Path, data: unknown): Mistake[] {
  const value = valueAt(data, path);
  const twoKinds = issue.code === 'unrecognized_keys' ? forwardWithoutKind(path, value) : undefined;
  if (twoKinds !== undefined) return [twoKinds];
  if (issue.code === 'unrecognized_keys') return unknownFields(issue.keys, issue.message.split('\n'), path);
  if (value === undefined) return [missing(path)];
  if (value === null) return [at(path, `${subject(path)} has no value${isEmptyTilde(path)}`)];
  if (issue.code === 'invalid_union') return union(issue.errors, path, data, value);
  const ownWords = /^needs /.test(issue.message) || (path.length > 0 && /^must be /.test(issue.message));
  if (issue.code === 'invalid_type' && !ownWords) {
    return [at(path, `${subject(path)} must be ${expected([issue], value)}`)];
  }
  return [at(path, issue.message.startsWith('`') ? issue.message : `${subject(path)} ${cleanLine(issue.message)}`)];
}

/** Of the readings that a union offers, the one that the person most likely meant speaks. */
function union(branches: readonly (readonly Issue[])[], path: Path, data: unknown, value: unknown): Mistake[] {
  const wrongKind = forwardWithoutKind(path, value);
  if (wrongKind !== undefined) return [wrongKind];
  const flat = branches.map((branch) => branch.flatMap((issue) => flatten(issue)));
  const fitting = flat.filter((branch) => !branch.some(isOfAnotherType));
  if (fitting.length === 0)
    return [at(path, `${subject(path)} must be ${expected(flat.flat().filter(isOfAnotherType), value)}`)];
  const readings = fitting.map((branch) =>
    withoutEchoes(
      mistakesOf(
        branch.map((issue) => below(issue, path)),
        data,
      ),
    ),
  );
  return readings.reduce((best, reading) => (weight(reading) < weight(best) ? reading : best));
}

/** A union within a union (one server or a list of them) is one choice to the person. */
function flatten(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union' || issue.path.length > 0) return [issue];
  const branches = issue.errors.map((branch) => branch.flatMap(flatten));
  const fitting = branches.filter((branch) => !branch.some(isOfAnotherType));
  return fitting.length === 0 ? branches.flat() : fitting.reduce((a, b) => (b.length < a.length ? b : a));
}

function isOfAnotherType(issue: Issue): boolean {
  return issue.path.length === 0 && issue.code === 'invalid_type';
}

function below(issue: Issue, path: Path): Issue {
  return { ...issue, path: [...path, ...issue.path] };
}

/** Names tell what was meant: one that is unknown or missing speaks louder against a reading than any wrong value. */
function weight(reading: readonly Mistake[]): number {
  const wrongNames = reading.filter(
    (mistake) => mistake.at === 'name' || mistake.message === missing(mistake.path).message,
  );
  return wrongNames.length * 100 + reading.length;
}

/** A forward is told apart by the field that names its kind. */
function forwardWithoutKind(path: Path, value: unknown): Mistake | undefined {
  if (path.length !== 2 || path[0] !== 'forwards' || typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) return undefined;
  const names = Object.keys(value);
  const kinds = KINDS.filter((kind) => names.includes(kind));
  if (kinds.length > 1) {
    return at(
      path,
      `${subject(path)} has ${kinds.map((kind) => `\`${kind}\``).join(' and ')}: a forward is of one kind`,
    );
  }
  if (kinds.length === 1 || names.some((name) => nearest(name, KINDS) !== undefined)) return undefined;
  return at(path, `${subject(path)} names no kind: it needs one of ${KINDS.join(', ')}`);
}

/** `lokal` is unknown and `local` is missing: that is one mistake. */
function withoutEchoes(reading: readonly Mistake[]): Mistake[] {
  const unknown = reading.filter(({ at: where }) => where === 'name').map(({ path }) => String(path.at(-1)));
  return reading.filter(({ path, message }) => {
    const name = String(path.at(-1));
    return !(message === missing(path).message && unknown.some((word) => nearest(word, [name]) !== undefined));
  });
}

function unknownFields(keys: readonly string[], messages: readonly string[], path: Path): Mistake[] {
  return keys.map((key, index) => ({
    path: [...path, key],
    at: 'name' as const,
    message: cleanLine(messages[index] ?? `unknown field \`${key}\``),
  }));
}

function missing(path: Path): Mistake {
  return at(path, `\`${String(path.at(-1))}\` is missing`);
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'fields of its own',
};

function expected(issues: readonly Issue[], value: unknown): string {
  const types = issues.map((issue) => (issue.code === 'invalid_type' ? (TYPES[issue.expected] ?? issue.expected) : ''));
  const words = [...new Set(types)].filter((word) => word !== '');
  const quotes = words.includes('text') && (typeof value === 'number' || typeof value === 'boolean');
  return `${words.join(' or ')}${quotes ? ': put it in quotes' : ''}`;
}

/** `identity: ~` is the trap of YAML: a bare tilde means nothing. */
function isEmptyTilde(path: Path): string {
  return path.length > 0 ? ' (YAML reads a bare ~ as none)' : '';
}

function subject(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return 'the profile';
  return typeof last === 'string' ? `\`${cleanLine(last, 80)}\`` : `entry ${last + 1} of \`${String(path.at(-2))}\``;
}

function at(path: Path, message: string): Mistake {
  return { path, at: 'value', message };
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    return Reflect.get(value, key);
  }, data);
}
